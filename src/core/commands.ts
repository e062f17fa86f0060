import type { Output, Valid } from '../contract/index.ts';
import { iso } from '../contract/instant.ts';
import { SpotError } from '../errors.ts';
import { type Agent, lockAgent, lockRowOfHandle } from '../store/agents.ts';
import {
	type Command,
	claimNext,
	commandByClaim,
	commandById,
	nextPendingOf,
	noteAcknowledged,
	noteSuccess,
	type Offered,
	saveCommandSince,
	stateOfClaim,
	undoClaim,
} from '../store/commands.ts';
import type { View } from '../store/host-view.ts';
import type { Host } from '../store/hosts.ts';
import { listCommandRows } from '../store/lists.ts';
import type { Db } from '../store/statement.ts';
import { addSwitchFailure } from '../store/switch-failures.ts';
import { agentIdOf } from './agent-id.ts';
import { type Caller, clientScope } from './caller.ts';
import { callingHostWith, speaksForAgent } from './calling-host.ts';
import { showCommandRow } from './command-view.ts';
import type { Context } from './context.ts';
import { disputeGuess } from './dispute.ts';
import type { Journal } from './journal.ts';
import { failureOf } from './orders.ts';
import { pagesOf } from './paging.ts';
import { note, withHost } from './routine.ts';

const commandPages = pagesOf('commands.list');

type Poll = Output<'pendingCommands'>;

const NOTHING: Poll = { commands: [], count: 0 };

/** v3.2 acknowledges success and failure alike: its report has this long to say which it was. */
const UNSAID_WINDOW_MS = 5 * 60_000;

/**
 * #46 (decided 9): only the primary gets anything, at most one command, and a command it got is offered to nobody again. A host whose
 * agent has nothing pending is answered from memory.
 */
export const pendingCommands =
	(context: Context) =>
	(input: Valid<'pendingCommands'>, caller: Caller): Poll | Promise<Poll> =>
		withHost(context, input.agent_id, caller, (host) => {
			note(context, host, caller, 'commands');
			if (host.role !== 'primary' || host.pending === 0 || host.status === 'deleted') return NOTHING;
			return speaksForAgent(caller) ? waiting(context, host) : claim(context, host, caller);
		});

const offered = (command: Offered): Poll => ({
	commands: [
		{
			id: command.id,
			command_id: command.id,
			command_type: command.command_type,
			instance_id: command.instance_id,
			target_mode: command.target_mode,
			target_pool_id: command.target_pool_id,
			priority: command.priority,
			terminate_wait_seconds: command.terminate_wait_seconds,
			created_at: iso(command.created_at),
			expires_at: iso(command.expires_at),
			request_id: command.request_id,
		},
	],
	count: 1,
});

const claim = async (context: Context, host: View, caller: Caller): Promise<Poll> => {
	const claimId = context.ids.uuid();
	const now = context.clock.now();
	const since = context.directory.cache.moment();
	// The agent is locked first: a promotion that overtakes the claim must find the command either pending or claimed, never in between.
	const [, , [claimed]] = await context.store.transactTogether([
		lockRowOfHandle.of({ handle: host.handle }),
		claimNext.of({ handle: host.handle, claim_id: claimId, now, lease: context.settings.leaseMs }),
		commandByClaim.of({ claim_id: claimId }),
	]);
	// One open switch at most: after a claim, or none to be had, the next poll has nothing to ask for until somebody queues another.
	if (claimed?.command_type !== 'create_replica' && context.directory.cache.get(host.handle) === host)
		context.directory.cache.put(host.handle, host.agent_id, { ...host, pending: 0 }, since);
	if (claimed === undefined) return NOTHING;
	if (caller.gone()) {
		await context.unit(caller, async (tx, journal) => {
			if ((await undoClaim.run(tx, { claim_id: claimId })) > 0) journal.changed('agent', host.agent_id);
		});
		return NOTHING;
	}
	context.counters.add('switch_attempts_total', 1);
	return offered(claimed);
};

/** An operator's look at what the primary would get: no claim. */
const waiting = async (context: Context, host: View): Promise<Poll> => {
	const first = await nextPendingOf.first(context.store.read, { agent_id: host.agent_id, now: context.clock.now() });
	return first === undefined ? NOTHING : offered(first);
};

type Outcome = { readonly success: boolean | null; readonly message: string | null };

const outcomeOf = (input: Pick<Valid<'commandExecuted'>, 'success' | 'status' | 'message' | 'error'>, unsaid: boolean | null): Outcome => {
	const said =
		input.status === null
			? null
			: ['success', 'completed', 'ok'].includes(input.status)
				? true
				: ['failed', 'failure', 'error'].includes(input.status)
					? false
					: null;
	return { success: input.success ?? said ?? unsaid, message: input.message ?? input.error };
};

/** #47: without a word about it the command succeeded (the original's default). */
export const commandExecuted = (context: Context) => (input: Valid<'commandExecuted'>, caller: Caller) =>
	acknowledge(context, caller, input.agent_id, input.command_id, outcomeOf(input, true));

/** X21: without a word about it nothing is known; the switch report decides. */
export const markCommandExecuted = (context: Context) => (input: Valid<'markCommandExecuted'>, caller: Caller) =>
	acknowledge(context, caller, input.agent_id, input.command_id, outcomeOf(input, null));

const acknowledge = async (
	context: Context,
	caller: Caller,
	handle: string,
	commandId: string,
	outcome: Outcome,
): Promise<Output<'commandExecuted'>> => {
	if (outcome.success === true && caller.principal?.kind === 'client') {
		const claim = { id: commandId, client_id: caller.principal.clientId, handle };
		const status = await confirmed(context, claim, outcome.message);
		if (status !== null) return { success: true, command_status: status };
	}
	const result = await context.sharedUnit(caller, async (tx, journal) => {
		const { calling, also } = await callingHostWith(tx, handle, caller, [commandById.of({ id: commandId })]);
		const { agent, host } = calling;
		const command = also[0][0];
		if (command === undefined || command.agent_id !== agent.id) throw noCommand(commandId);
		if (speaksForAgent(caller))
			journal.audit('commands.executed', 'command', command.id, agent.client_id, { status: command.status }, outcome);
		return { host, status: await settle(context, tx, journal, agent, host, command, outcome) };
	});
	if (!speaksForAgent(caller)) context.liveness.seen(result.host.handle, result.host.client_id, 'other');
	return { success: true, command_status: result.status };
};

/** A success that the books hold already needs no decision and no look at its host: one packet. Null when it is anything else. */
const confirmed = async (
	context: Context,
	claim: { readonly id: string; readonly client_id: string; readonly handle: string },
	message: string | null,
): Promise<string | null> => {
	const now = context.clock.now();
	const [, [state]] = await context.store.transactTogether([noteSuccess.of({ ...claim, now, message }), stateOfClaim.of(claim)]);
	if (state?.status !== 'completed' || state.acknowledged_at !== now) return null;
	context.liveness.seen(claim.handle, claim.client_id, 'other');
	return state.status;
};

/** What an acknowledgement means: only the claimant's counts, only while the command is open, and never against evidence. */
const settle = async (
	context: Context,
	tx: Db,
	journal: Journal,
	agent: Agent,
	host: Host,
	command: Command,
	outcome: Outcome,
): Promise<string> => {
	if (command.handle !== host.handle || command.claimed_at === null || command.acknowledged_at !== null) return command.status;
	const now = context.clock.now();
	const told: Command = {
		...command,
		acknowledged_at: now,
		acknowledged_success: outcome.success === null ? null : outcome.success ? 1 : 0,
		message: outcome.message ?? command.message,
	};
	const save = async (row: Command): Promise<string> => {
		await saveCommandSince(tx, command, row);
		return row.status;
	};
	if (command.status !== 'claimed') {
		if (outcome.success === false) await disputeGuess(tx, journal, agent, host, command);
		await noteAcknowledged.later(tx, {
			id: command.id,
			acknowledged_at: now,
			acknowledged_success: told.acknowledged_success,
			message: told.message,
		});
		return command.status;
	}
	if (outcome.success === null) {
		const until = Math.min(command.lease_until ?? now + UNSAID_WINDOW_MS, now + UNSAID_WINDOW_MS);
		return save({ ...told, lease_until: until, due_at: until });
	}
	if (outcome.success) {
		// The machine is still to be named: the order goes on fitting a registration until its lease ends.
		return save({ ...told, status: 'completed', outcome: 'acknowledged', open_switch_of: null, completed_at: now, due_at: null });
	}
	await addSwitchFailure.later(tx, failureOf(command, now));
	journal.count('switch_failures_total');
	const about = { clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id };
	const message = outcome.message ?? 'the agent could not carry it out';
	journal.event('command_failed', `the ${command.command_type} of ${agent.logical_agent_id} failed: ${message}`, about, {
		severity: 'error',
		metadata: { command_id: command.id },
	});
	journal.notify('switch_failed', 'Switch failed', `${agent.logical_agent_id} stays on ${host.instance_id}: ${message}`, about, 'error');
	return save({ ...told, status: 'failed', outcome: 'failed', open_switch_of: null, completed_at: now, due_at: null });
};

const noCommand = (id: string): SpotError =>
	new SpotError('missing', 'NOT_FOUND', `no command "${id.slice(0, 80)}"`, { hint: 'see: spotctl commands list' });

/** The newest commands first, of one client, agent or state. */
export const listCommands =
	(context: Context) =>
	async (input: Valid<'listCommands'>, caller: Caller): Promise<Output<'listCommands'>> => {
		const clientId = clientScope(caller) ?? input.client_id ?? null;
		const agentId = input.agent_id === undefined ? null : await agentIdOf(context.store.read, input.agent_id, caller);
		const rows = await listCommandRows(context.store.read, {
			clientId,
			agentId,
			status: input.status ?? null,
			limit: input.limit,
			after: commandPages.after(input.cursor),
		});
		return commandPages.page(rows, input.limit, showCommandRow, (row) => row.id);
	};

const ownCommand = async (db: Db, id: string, caller: Caller): Promise<Command> => {
	const command = await commandById.first(db, { id });
	const scope = clientScope(caller);
	if (command === undefined || (scope !== null && scope !== command.client_id)) throw noCommand(id);
	return command;
};

export const showCommand =
	(context: Context) =>
	async (input: Valid<'showCommand'>, caller: Caller): Promise<Output<'showCommand'>> =>
		showCommandRow(await ownCommand(context.store.read, input.command_id, caller));

/** A claimed command can be cancelled in the books only: its machine, if it comes, is a candidate (it may be the only one left). */
export const cancelCommand =
	(context: Context) =>
	(input: Valid<'cancelCommand'>, caller: Caller): Promise<Output<'cancelCommand'>> =>
		context.unit(caller, async (tx, journal) => {
			const { agent_id } = await ownCommand(tx, input.command_id, caller);
			const agent = await lockAgent.first(tx, { id: agent_id });
			const command = await ownCommand(tx, input.command_id, caller);
			if (agent === undefined) throw noCommand(input.command_id);
			if (command.status !== 'pending' && command.status !== 'claimed') {
				throw new SpotError('conflict', 'COMMAND_CLOSED', `command ${command.id} is ${command.status} already`, {
					hint: `see: spotctl commands show ${command.id}`,
					extras: { command_status: command.status, outcome: command.outcome },
				});
			}
			const cancelled: Command = {
				...command,
				status: 'cancelled',
				outcome: 'cancelled',
				open_switch_of: null,
				completed_at: context.clock.now(),
				due_at: null,
			};
			await saveCommandSince(tx, command, cancelled);
			const about = { clientId: command.client_id, agentId: agent.id, instanceId: command.instance_id };
			journal.event(
				'command_cancelled',
				`the ${command.command_type} of ${agent.logical_agent_id} was cancelled (it was ${command.status})`,
				about,
			);
			journal.audit('commands.cancel', 'command', command.id, command.client_id, { status: command.status }, { status: 'cancelled' });
			journal.changed('agent', agent.id);
			const message =
				command.status === 'pending'
					? 'cancelled before anybody had it'
					: `cancelled in the books, but ${command.instance_id} has it since ${iso(command.claimed_at ?? command.created_at)} and may carry it out`;
			return { success: true, message, command: showCommandRow(cancelled), was: command.status };
		});
