import type { Output, Valid } from '../contract/index.ts';
import type { Agent } from '../store/agents.ts';
import { type Command, claimsOfHost, nameMachine, saveCommandSince } from '../store/commands.ts';
import { addHost, type Host, hostByHandle, hostNamedBy, primaryOf, saveHost } from '../store/hosts.ts';
import { hostPrice } from '../store/prices.ts';
import { confirmEnd } from '../store/replicas.ts';
import type { Db } from '../store/statement.ts';
import { addSwitchFailure, forgetSwitchFailure } from '../store/switch-failures.ts';
import { addSwitches, type SwitchRecord, saveSwitch, switchOf, switchOfCommand } from '../store/switches.ts';
import type { Caller } from './caller.ts';
import { callingHostWith, speaksForAgent } from './calling-host.ts';
import type { Context } from './context.ts';
import { disputeGuess } from './dispute.ts';
import type { Journal } from './journal.ts';
import { machineOfAgent, type Named } from './machines.ts';
import { failureOf, orderState } from './orders.ts';
import { noteDowntime, promote } from './promotion.ts';
import { freshPrice } from './promotion-prices.ts';
import { reconcile } from './reconcile.ts';
import { endReplica } from './replica-end.ts';
import { commandOf, endOf, impactOf, known, type Report, readReport, usd } from './report.ts';
import { primaryIsSilent } from './silence.ts';
import { takeOverIfSilent } from './takeover.ts';
import { lockedWork } from './work.ts';

type Answer = Output<'switchReport'>;

/** One report in its transaction. */
type Work = {
	readonly context: Context;
	readonly tx: Db;
	readonly journal: Journal;
	readonly report: Report;
	readonly agent: Agent;
	readonly host: Host;
	readonly now: number;
	/** What the reporting host said last that it pays for itself, where it runs on spot and its report has no price of it. */
	readonly ownSpot?: number | null;
	/** The machine it names has no row yet. */
	readonly isNew?: boolean;
};

const answer = (action: string, message: string, record: SwitchRecord | null): Answer => ({
	success: true,
	action,
	message,
	switch_id: record?.id ?? null,
	savings_impact: record === null ? null : usd(record.impact_micros),
});

/**
 * #49 (identity.md T2, T7, T8): the report of the host that claimed a command decides which machine is the primary. Always 2xx for a
 * well-formed report, since agents drop everything else. Errors: 404 for a foreign or unknown handle.
 */
export const switchReport =
	(context: Context) =>
	async (input: Valid<'switchReport'>, caller: Caller): Promise<Answer> => {
		const report = readReport(input, context.clock.now());
		const result = await context.sharedUnit(caller, async (tx, journal) => {
			const { calling, also } = await callingHostWith(tx, input.agent_id, caller, [
				claimsOfHost.of({ handle: input.agent_id }),
				hostNamedBy.of({ handle: input.agent_id, instance_id: report.newId ?? '' }),
			]);
			const { agent, host } = calling;
			// An operator's report is about the primary, whose handle is known only now.
			const claims = host.handle === input.agent_id ? also[0] : await claimsOfHost.all(tx, { handle: host.handle });
			if (speaksForAgent(caller))
				journal.audit('switches.report', 'agent', agent.id, agent.client_id, null, { old: report.oldId, new: report.newId });
			return { host, answer: await carryOut({ context, tx, journal, report, agent, host, now: context.clock.now() }, claims, also[1][0]) };
		});
		if (!speaksForAgent(caller)) context.liveness.seen(result.host.handle, result.host.client_id, 'other');
		return result.answer;
	};

const carryOut = async (given: Work, claims: readonly Command[], named: Host | undefined): Promise<Answer> => {
	const { tx, report, agent, host } = given;
	const command = commandOf(claims, report);
	if (!report.success) return failed(given, command);
	const newId = report.newId ?? '';
	if (newId === host.instance_id) return answer('none', 'the report names its own host as the new machine; nothing moved', null);
	const work = { ...given, ownSpot: await ownSpotOf(given) };
	// An open command has no record yet: its report is the first word about it.
	const open = command?.status === 'claimed';
	const earlier = open
		? undefined
		: ((await switchOf.first(tx, { agent_id: agent.id, old_instance_id: host.instance_id, new_instance_id: newId })) ??
			(command === null ? undefined : await switchOfCommand.first(tx, { agent_id: agent.id, command_id: command.id })));
	if (earlier !== undefined && earlier.new_instance_id === newId) return filled(work, earlier, command);
	const counts = command !== null || host.role === 'primary';
	const what = namedMachine(report, newId, host, command);
	const placed = await machineOfAgent(work.context, tx, work.journal, agent, what, counts, named);
	if (placed === null) return answer('conflict', `${newId} belongs to another agent; nothing moved`, null);
	const { machine, isNew } = placed;
	if (machine.role === 'terminated') return answer('none', `${newId} has already ended; nothing moved`, null);
	if (machine.role === 'primary') return takenOver(work, machine, command);
	return decide({ ...work, isNew }, machine, command);
};

/** Measured and asked for only where it is missing: reports of agents carry it, unless AWS did not tell them. */
const ownSpotOf = async ({ tx, report, host, now }: Work): Promise<number | null> => {
	const isOwn = report.oldId === null || report.oldId === host.instance_id;
	if (!isOwn || (report.old.mode ?? host.mode) !== 'spot' || (report.record.old_spot_micros ?? null) !== null) return null;
	return freshPrice(await hostPrice.first(tx, { handle: host.handle }), now)?.spot_micros ?? null;
};

/** The cause as the report says it where no command does. */
const causeOf = (report: Report, command: Command | null): Partial<SwitchRecord> =>
	command === null && report.trigger !== null ? { trigger_type: report.trigger } : {};

const namedMachine = (report: Report, newId: string, host: Host, command: Command | null): Named => ({
	instanceId: newId,
	type: report.new.type ?? host.instance_type,
	region: report.new.region ?? host.region,
	az: report.new.az ?? command?.target_az ?? null,
	mode: report.new.mode ?? command?.target_mode ?? null,
	poolId: report.new.poolId ?? (report.new.mode === 'ondemand' ? null : (command?.target_pool_id ?? null)),
	ami: report.new.ami,
});

/** Which of the cases of T2 it is. */
const decide = async (work: Work, machine: Host, command: Command | null): Promise<Answer> => {
	const { tx, agent, host } = work;
	const isPrimary = host.role === 'primary';
	if (command === null) {
		if (isPrimary) return switched(work, host, machine, null);
		return recorded(work, machine, null, host.role === 'zombie' || host.role === 'ended' || host.role === 'terminated');
	}
	const guess =
		command.status === 'completed' && command.new_handle !== null
			? await hostByHandle.first(tx, { handle: command.new_handle })
			: undefined;
	if (guess !== undefined) {
		const unmoved = guess.role === 'primary' && guess.generation === agent.generation && guess.guess_command_id === command.id;
		return unmoved ? corrected(work, guess, machine, command) : recorded(work, machine, command, true);
	}
	if (isPrimary && orderState(command) !== 'void') return switched(work, host, machine, command);
	return recorded(work, machine, command, true);
};

const switched = async (work: Work, from: Host, to: Host, command: Command | null): Promise<Answer> => {
	const { context, tx, journal, agent, report, isNew = false } = work;
	const { record } = await promote(context, tx, journal, {
		agent,
		from,
		to,
		isNew,
		reason: 'report',
		old: { role: report.oldTerminatedAt === null ? 'zombie' : 'terminated', hold: false, terminatedAt: report.oldTerminatedAt },
		command,
		record: { ...completed(work, from, to), ...causeOf(report, command) },
	});
	return answer('switched', `${to.instance_id} is the primary`, record);
};

/** Fills what the report leaves open from what is known, and computes the impact from both. */
const completed = ({ report, ownSpot = null }: Work, from: Host, to: Host): Partial<SwitchRecord> => {
	const merged = known({ old_spot_micros: ownSpot, ...known(report.record) });
	const oldMode = merged.old_mode ?? from.mode;
	const newMode = merged.new_mode ?? to.mode;
	return {
		...merged,
		impact_micros: impactOf(
			merged.old_spot_micros ?? null,
			merged.new_spot_micros ?? null,
			merged.ondemand_micros ?? null,
			oldMode,
			newMode,
		),
	};
};

/** A registration had been taken for the ordered machine; the claimant knows better. */
const corrected = async (work: Work, guess: Host, machine: Host, command: Command): Promise<Answer> => {
	const { context, tx, journal, agent, host, report, now, isNew = false } = work;
	const wrong = await switchOfCommand.first(tx, { agent_id: agent.id, command_id: command.id });
	if (wrong !== undefined)
		await saveSwitch(tx, wrong, {
			...wrong,
			command_id: null,
			success: 0,
			evidence: 'guess',
			error_message: `corrected: the new machine is ${machine.instance_id}`,
		});
	const { record } = await promote(context, tx, journal, {
		agent,
		from: guess,
		to: machine,
		isNew,
		reason: 'report',
		old: { role: 'candidate', hold: false, terminatedAt: null },
		command,
		record: {
			...completed(work, host, machine),
			old_instance_id: host.instance_id,
			old_mode: report.old.mode ?? host.mode,
			old_pool_id: report.old.poolId ?? host.pool_id,
		},
	});
	if (report.oldTerminatedAt !== null) await ended(work, host);
	journal.event(
		'guess_corrected',
		`${guess.instance_id} had been taken for the machine of a switch that launched ${machine.instance_id}`,
		{ clientId: agent.client_id, agentId: agent.id, instanceId: machine.instance_id },
		{ severity: 'warning', metadata: { command_id: command.id, at: now } },
	);
	return answer('corrected', `${machine.instance_id} is the primary, not ${guess.instance_id}`, record);
};

/** T7: the reporting host is no longer primary and says that it has ended. */
const ended = async ({ context, tx, journal, agent, report, now }: Work, host: Host): Promise<void> => {
	const current = await hostByHandle.first(tx, { handle: host.handle });
	if (current === undefined || current.role === 'primary' || current.role === 'terminated') return;
	if (current.role === 'replica') {
		const work = await lockedWork(context, tx, journal, agent.id);
		if (work?.replica?.handle === host.handle) {
			await endReplica(work, { status: 'terminated', why: 'its own host reports its end', machine: 'ended', confirmed: true });
			await reconcile(work);
			return;
		}
	}
	await confirmEnd.later(tx, { handle: host.handle, now });
	const at = endOf(current, report.oldTerminatedAt, now);
	const gone: Host = { ...current, role: 'terminated', terminated_at: at };
	await saveHost.later(tx, gone);
	journal.book(gone, { at });
};

/** The switch is known already (a registration proved it, or the report came twice): prices, times and the old host's end are added. */
const filled = async (work: Work, earlier: SwitchRecord, command: Command | null): Promise<Answer> => {
	const { tx, journal, agent, host, report, now, ownSpot = null } = work;
	const merged: SwitchRecord = { ...earlier, old_spot_micros: earlier.old_spot_micros ?? ownSpot, ...known(report.record) };
	const record: SwitchRecord = {
		...merged,
		impact_micros: impactOf(merged.old_spot_micros, merged.new_spot_micros, merged.ondemand_micros, merged.old_mode, merged.new_mode),
		evidence: 'report',
	};
	await saveSwitch(tx, earlier, record);
	noteDowntime(journal, earlier, record);
	if (report.oldTerminatedAt !== null) await ended(work, host);
	if (command !== null && command.reported_at === null && command.status === 'completed') {
		await saveCommandSince(tx, command, { ...command, reported_at: now });
	}
	journal.changed('agent', agent.id);
	return answer(earlier.evidence === 'report' ? 'already_recorded' : 'recorded', 'the switch is in the books', record);
};

/** The named machine is the primary by another way (it took over from a silent host): only the books are completed. */
const takenOver = async (work: Work, machine: Host, command: Command | null): Promise<Answer> => {
	const { context, tx, journal, agent, host, report, now } = work;
	const record: SwitchRecord = {
		id: context.ids.uuid(),
		client_id: agent.client_id,
		agent_id: agent.id,
		command_id: command?.id ?? null,
		evidence: 'report',
		success: 1,
		old_instance_id: host.instance_id,
		new_instance_id: machine.instance_id,
		old_mode: host.mode,
		new_mode: machine.mode,
		old_pool_id: host.pool_id,
		new_pool_id: machine.pool_id,
		old_spot_micros: null,
		new_spot_micros: null,
		ondemand_micros: null,
		impact_micros: null,
		trigger_type: command?.trigger_type ?? report.trigger ?? 'agent',
		initiated_at: command?.claimed_at ?? null,
		launched_at: null,
		ready_at: null,
		traffic_at: null,
		old_terminated_at: report.oldTerminatedAt,
		ami_created_at: null,
		duration_ms: null,
		downtime_ms: null,
		snapshot_id: null,
		error_message: null,
		...completed(work, host, machine),
		generation: agent.generation,
		created_at: now,
	};
	await addSwitches(tx, [record]);
	noteDowntime(journal, null, record);
	if (command !== null) await nameMachine.later(tx, { id: command.id, instance_id: machine.instance_id });
	if (command?.status === 'failed') await forgetSwitchFailure.later(tx, { id: command.id });
	if (report.oldTerminatedAt !== null) await ended(work, host);
	journal.changed('agent', agent.id);
	return answer('recorded', `${machine.instance_id} is the primary already`, record);
};

/**
 * No role of a serving machine moves: the machine becomes a zombie while the primary lives (it is one too many), or a candidate that may
 * take over from a silent one; a standby that reports only names it.
 */
const recorded = async (work: Work, machine: Host, command: Command | null, surplus: boolean): Promise<Answer> => {
	const { context, tx, journal, agent, host, report, now, isNew = false } = work;
	const about = { clientId: agent.client_id, agentId: agent.id, instanceId: machine.instance_id };
	if (isNew) await addHost.later(tx, machine);
	if (isNew) journal.book(machine);
	if (report.oldTerminatedAt !== null) await ended(work, host);
	if (command !== null) await nameMachine.later(tx, { id: command.id, instance_id: machine.instance_id });
	journal.changed('agent', agent.id);
	if (!surplus || agent.status === 'deleted') {
		journal.event('switch_report_ignored', `${host.instance_id} (${host.role}) reported ${machine.instance_id}; no role moved`, about, {
			severity: 'warning',
		});
		return answer('named', `${machine.instance_id} is known; no role moved`, null);
	}
	const primary = await primaryOf.first(tx, { agent_id: agent.id });
	const alive = primary !== undefined && (primary.handle === host.handle || !(await primaryIsSilent(context, tx, primary)));
	if (machine.role === 'named' || machine.role === 'candidate') {
		const extra: Host = alive ? { ...machine, role: 'zombie', zombie_at: now, hold: 0 } : { ...machine, role: 'candidate' };
		await saveHost.later(tx, extra);
		journal.book(extra);
		if (!alive) await takeOverIfSilent(context, tx, journal, agent, null);
	}
	const becomes = alive ? 'an extra machine that will end' : 'a candidate';
	journal.event(
		'late_switch_report',
		`${host.instance_id} (${host.role}) launched ${machine.instance_id} for an order that no longer holds; it is ${becomes}`,
		about,
		{ severity: 'warning' },
	);
	return answer(alive ? 'surplus' : 'candidate', `${machine.instance_id} is ${becomes}`, null);
};

/** The agent says that the switch failed: the order ends, no role moves, the history keeps the reason. */
const failed = async (work: Work, command: Command | null): Promise<Answer> => {
	const { context, tx, journal, agent, host, report, now } = work;
	const about = { clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id };
	const message = report.error ?? 'the agent reported that the switch failed';
	if (command?.status === 'claimed') {
		const closed: Command = {
			...command,
			status: 'failed',
			outcome: 'reported',
			message,
			open_switch_of: null,
			reported_at: now,
			completed_at: now,
			due_at: null,
		};
		await saveCommandSince(tx, command, closed);
		await addSwitchFailure.later(tx, failureOf(command, now));
	} else if (command !== null) await disputeGuess(tx, journal, agent, host, command);
	else
		await addSwitchFailure.later(tx, {
			id: context.ids.uuid(),
			client_id: agent.client_id,
			agent_id: agent.id,
			trigger_type: report.trigger ?? 'agent',
			at: now,
		});
	journal.count('switch_failures_total');
	journal.event('switch_failed', `the switch of ${agent.logical_agent_id} failed: ${message}`, about, {
		severity: 'error',
		metadata: { command_id: command?.id ?? null },
	});
	const stays = host.role === 'primary' ? `${agent.logical_agent_id} stays on ${host.instance_id}` : `${host.instance_id} could not switch`;
	journal.notify('switch_failed', 'Switch failed', `${stays}: ${message}`, about, 'error');
	journal.changed('agent', agent.id);
	return answer('failed', 'the failure is in the books', null);
};
