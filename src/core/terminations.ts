import type { Output, Valid } from '../contract/index.ts';
import { SpotError } from '../errors.ts';
import { lockAgent } from '../store/agents.ts';
import type { View } from '../store/host-view.ts';
import { endingHosts, type Host, hostByInstance, saveHost } from '../store/hosts.ts';
import { livenessOf } from '../store/liveness.ts';
import { confirmEnd } from '../store/replicas.ts';
import type { Db } from '../store/statement.ts';
import type { Caller } from './caller.ts';
import { callingHost, speaksForAgent } from './calling-host.ts';
import type { Context } from './context.ts';
import { instanceOf } from './instance-of.ts';
import type { Journal } from './journal.ts';
import { reconcile } from './reconcile.ts';
import { endReplica } from './replica-end.ts';
import { endOf, plausible } from './report.ts';
import { note, withCurrentHost } from './routine.ts';
import { lockedWork } from './work.ts';

/** An attempt hides a machine from the lists for this long (spec section 8). */
const ATTEMPT_MS = 5 * 60_000;

type List = Output<'instancesToTerminate'>;

/** Whether a machine must end now: a zombie after its wait unless held, an ended replica at once; never what is no EC2 machine. */
export const isDue = (host: Host & { readonly terminate_wait_seconds: number }, now: number): boolean =>
	/^i-/.test(host.instance_id) &&
	host.hold === 0 &&
	(host.hold_until ?? 0) <= now &&
	(host.role === 'ended' || (host.zombie_at !== null && now - host.zombie_at >= host.terminate_wait_seconds * 1000));

/** Whether somebody has just tried to end a machine: until it is known what came of it, it is on no list. */
export const isHidden = (host: Pick<Host, 'termination_attempted_at'>, now: number): boolean =>
	host.termination_attempted_at !== null && now - host.termination_attempted_at < ATTEMPT_MS;

/**
 * #56 (D-12, D-20): the primary reads every machine of its own agent that is due, a zombie at most itself. With auto-terminate off
 * nothing is named, except a deleted agent's leftover replicas to the host that was its primary (design.md, decided 11).
 */
export const instancesToTerminate =
	(context: Context) =>
	(input: Valid<'instancesToTerminate'>, caller: Caller): Promise<List> =>
		withCurrentHost(context, input.agent_id, caller, (host) => {
			note(context, host, caller, 'terminations');
			const empty: List = {
				instances: [],
				auto_terminate_enabled: host.auto_terminate_enabled === 1 || host.status === 'deleted',
				terminate_wait_seconds: host.terminate_wait_seconds,
				held: 0,
			};
			return host.ending === 0 ? empty : list(context, host, empty);
		});

const list = async (context: Context, host: View, empty: List): Promise<List> => {
	const rows = await endingHosts.all(context.store.read, { agent_id: host.agent_id });
	const now = context.clock.now();
	const first = rows[0];
	if (first === undefined) return empty;
	const deleted = first.status === 'deleted';
	const isPrimary = first.primary_handle === host.handle;
	const mine = rows.filter(
		(row) => (isPrimary ? row.handle !== host.handle : row.handle === host.handle) && (!deleted || row.role === 'ended'),
	);
	const due = mine.filter((row) => isDue(row, now));
	const allowed = first.auto_terminate_enabled === 1 || deleted;
	return {
		instances: allowed
			? due
					.filter((row) => !isHidden(row, now))
					.map((row) => ({
						instance_id: row.instance_id,
						instance_type: row.instance_type,
						az: row.az,
						reason: row.role === 'ended' ? ('replica_terminated' as const) : ('zombie_timeout' as const),
						seconds_waiting: Math.max(0, Math.floor((now - (row.zombie_at ?? row.created_at)) / 1000)),
					}))
			: [],
		auto_terminate_enabled: allowed,
		terminate_wait_seconds: first.terminate_wait_seconds,
		held: mine.filter((row) => row.hold === 1 || (row.hold_until ?? 0) > now).length + (allowed ? 0 : due.length),
	};
};

/** #50: of any machine of this agent but the current primary. Errors: 404, 409 CURRENT_PRIMARY. */
export const terminationReport =
	(context: Context) =>
	(input: Valid<'terminationReport'>, caller: Caller): Promise<Output<'terminationReport'>> =>
		context.unit(caller, async (tx, journal) => {
			const { agent, host } = await callingHost(tx, input.agent_id, caller);
			if (!speaksForAgent(caller)) context.liveness.seen(host.handle, agent.client_id, 'other');
			const target = await hostByInstance.first(tx, { client_id: agent.client_id, instance_id: input.instance_id });
			if (target === undefined || target.agent_id !== agent.id) {
				throw new SpotError('missing', 'NOT_FOUND', `no instance "${input.instance_id}" of this agent`, {
					hint: 'see: spotctl instances list',
				});
			}
			if (target.role === 'primary') {
				throw new SpotError('conflict', 'CURRENT_PRIMARY', `${target.instance_id} is the primary: a report cannot end it`, {
					hint: `see: spotctl agents show ${agent.id}`,
				});
			}
			const succeeded = input.success ?? input.termination_reason !== null;
			const now = context.clock.now();
			const about = { clientId: agent.client_id, agentId: agent.id, instanceId: target.instance_id };
			if (target.role === 'terminated') return { success: true, message: 'recorded already' };
			if (succeeded && target.role === 'replica') await loseReplica(context, tx, journal, agent.id, target.handle);
			else if (succeeded) {
				await confirmEnd.later(tx, { handle: target.handle, now });
				const heard = await livenessOf.first(tx, { handle: target.handle });
				const seen = Math.max(heard?.seen_at ?? 0, context.liveness.pending(target.handle)?.seen_at ?? 0);
				const at = endOf(target, plausible(input.terminated_at, now), now, seen);
				// A hold stays: should the machine come back, the report was wrong and only an operator lets it end.
				const gone: Host = { ...target, role: 'terminated', terminated_at: at, takes_back: 0 };
				await saveHost.later(tx, gone);
				journal.book(gone, { at });
				journal.event('instance_terminated', `${target.instance_id} (${target.role}) of ${agent.logical_agent_id} was terminated`, about, {
					metadata: { by: host.instance_id, reason: input.termination_reason },
				});
				journal.count('instances_terminated_total');
			} else {
				await saveHost.later(tx, { ...target, termination_attempted_at: now });
				const message = `${target.instance_id} could not be terminated: ${input.error ?? 'no reason given'}`;
				journal.event('instance_termination_failed', message, about, { severity: 'error' });
				journal.notify(
					'instance_termination_failed',
					'A machine could not be terminated',
					`${agent.logical_agent_id}: ${message}`,
					about,
					'error',
				);
			}
			if (speaksForAgent(caller))
				journal.audit(
					'terminations.report',
					'instance',
					target.instance_id,
					agent.client_id,
					{ role: target.role },
					{ success: succeeded },
				);
			journal.changed('agent', agent.id);
			return {
				success: true,
				message: succeeded ? 'termination recorded' : 'the attempt is recorded; it is offered again after five minutes',
			};
		});

/** The machine of a live replica is gone: its slot is free, and what the mode or an emergency needs is ordered. */
const loseReplica = async (context: Context, tx: Db, journal: Journal, agentId: string, handle: string): Promise<void> => {
	const work = await lockedWork(context, tx, journal, agentId);
	if (work === null || work.replica?.handle !== handle) return;
	await endReplica(work, { status: 'terminated', why: 'its machine was terminated', machine: 'ended', confirmed: true });
	await reconcile(work);
};

/** Lets an operator keep a zombie, or release one that silence or a dispute put on hold. Errors: 404, 409 NOT_A_ZOMBIE. */
export const holdInstance =
	(context: Context) =>
	(input: Valid<'holdInstance'>, caller: Caller): Promise<Output<'holdInstance'>> =>
		context.unit(caller, async (tx: Db, journal) => {
			const found = await instanceOf(tx, input.instance_id, input.client_id, caller);
			await lockAgent.first(tx, { id: found.agent_id });
			const host = await instanceOf(tx, input.instance_id, input.client_id, caller);
			if (host.role !== 'zombie') {
				throw new SpotError('conflict', 'NOT_A_ZOMBIE', `${host.instance_id} is ${host.role}: only a zombie can be held or released`, {
					hint: `see: spotctl instances show ${host.instance_id}`,
				});
			}
			const saved: Host = input.hold ? { ...host, hold: 1 } : { ...host, hold: 0, hold_until: null, takes_back: 0 };
			await saveHost.later(tx, saved);
			if (input.hold) journal.book(saved, { overlapUntil: 0 });
			journal.audit('instances.hold', 'instance', host.instance_id, host.client_id, { hold: host.hold === 1 }, { hold: input.hold });
			journal.event(
				input.hold ? 'instance_held' : 'instance_released',
				`${host.instance_id} was ${input.hold ? 'put on hold' : 'released for termination'}`,
				{
					clientId: host.client_id,
					agentId: host.agent_id,
					instanceId: host.instance_id,
				},
			);
			journal.changed('agent', host.agent_id);
			return {
				success: true,
				hold: input.hold,
				message: input.hold ? `${host.instance_id} stays until it is released` : `${host.instance_id} may be terminated`,
			};
		});
