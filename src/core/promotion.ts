import type { Agent } from '../store/agents.ts';
import type { Command } from '../store/commands.ts';
import { type Emergency, openEmergencyOf } from '../store/emergencies.ts';
import type { Host } from '../store/hosts.ts';
import { type PromotionRows, writePromotions } from '../store/promotions.ts';
import type { Db } from '../store/statement.ts';
import type { SwitchRecord } from '../store/switches.ts';
import type { Context } from './context.ts';
import type { PromotionType } from './counters.ts';
import type { Journal } from './journal.ts';
import { type OwnPrices, ownPricesOf, priced } from './promotion-prices.ts';
import { endOf } from './report.ts';
import { NAMED_PATIENCE_MS } from './silence.ts';

/** Why another machine becomes the primary. */
export type Reason =
	/** A machine registered and exactly one open order fits it (R4). */
	| 'registration'
	/** The host that claimed the order says which machine it launched (T2). */
	| 'report'
	/** The primary fell silent while another machine lives (T3). */
	| 'takeover'
	/** A guess by registration was disputed, and the guessed machine fell silent (T9). */
	| 'taken-back'
	/** An operator, or an agent in a person's name, promoted the replica (T6); or an operator a zombie or candidate that calls (T3). */
	| 'operator'
	/** AWS takes the primary back (T6). */
	| 'notice'
	/** The primary is silent while its ready replica calls (`failover.silentAfter`). */
	| 'silence';

export type Promotion = {
	readonly agent: Agent;
	readonly from: Host | null;
	readonly to: Host;
	/** The new primary has no row yet: nobody knew of the machine before. */
	readonly isNew?: boolean;
	/** `to` is its row as it is stored. */
	readonly asStored?: boolean;
	/** Gathers what is to be written, for whoever promotes many at once; written at once without it. */
	readonly gather?: PromotionRows[] | undefined;
	readonly reason: Reason;
	/** What becomes of the old primary. */
	readonly old: {
		readonly role: 'zombie' | 'terminated' | 'candidate' | 'replica';
		readonly hold: boolean;
		readonly terminatedAt: number | null;
	};
	/** The command this fulfils, closed in the same transaction. */
	readonly command: Command | null;
	/** The open emergency of the agent where whoever promotes holds it, and writes what becomes of it. */
	readonly emergency?: Emergency | null;
	/** When it was called for, where not by the claim of the command. */
	readonly calledAt?: number | null;
	/** What the machines last said they cost, where whoever promotes has read it. */
	readonly prices?: OwnPrices;
	/** What the switch history says, as far as known. */
	readonly record: Partial<SwitchRecord>;
};

/**
 * The one place where the primary of an agent changes (decided 7): one transaction, guarded by the agent's version and by the unique
 * key on `primary_of`. Raises the generation, so that nothing the old host claimed or says later counts; ends every other command of
 * the agent; the new host starts to act and the old one stops with the next call each makes. The unit begins again when
 * the agent changed since it was read. Returns the agent and host as they are now.
 */
export const promote = async (
	context: Context,
	tx: Db,
	journal: Journal,
	promotion: Promotion,
): Promise<{ agent: Agent; host: Host; record: SwitchRecord }> => {
	const { agent, from, to, old, command } = promotion;
	const now = context.clock.now();
	journal.countIfLost('instance_promotion_failures_total');
	// An order that keeps the old machine although this agent terminates: nobody but an operator may end it.
	const kept = old.role === 'zombie' && command?.terminate_wait_seconds === 0 && agent.auto_terminate_enabled === 1;
	const hold = old.hold || kept;
	// Whatever has an emergency has something due: nothing is read for the agents where nothing is going on.
	const held = promotion.emergency !== undefined;
	const emergency = held || agent.attention_at === null ? promotion.emergency : await openEmergencyOf.first(tx, { agent_id: agent.id });
	const host: Host = {
		...to,
		agent_id: agent.id,
		role: 'primary',
		primary_of: agent.id,
		generation: agent.generation + 1,
		zombie_at: null,
		terminated_at: null,
		termination_attempted_at: null,
		hold: 0,
		hold_until: null,
		takes_back: 0,
		tentative_command_id: null,
		tentative_replica_id: null,
		guess_command_id: promotion.reason === 'registration' ? (command?.id ?? null) : null,
		last_switch_at: now,
	};
	const registered = host.registered_at !== null;
	const status = agent.status === 'deleted' ? 'deleted' : registered ? (agent.enabled === 1 ? 'online' : 'disabled') : 'switching';
	const promoted: Agent = {
		...agent,
		generation: agent.generation + 1,
		version: agent.version + 1,
		status,
		last_switch_at: now,
		terminated_at: null,
		attention_at: agent.manual_replica_enabled === 1 || agent.attention_at !== null || (emergency ?? null) !== null ? now : null,
		updated_at: now,
	};
	const said = recordOf(context, promotion, host, now);
	const record = isReported(promotion)
		? said
		: priced(said, from?.handle ?? null, host.handle, promotion.prices ?? (await ownPricesOf(tx, handlesOf(promotion))), now);
	const rows: PromotionRows = {
		from: from === null ? null : { role: left(from, old, hold, emergency ?? null, now), watchAt: old.role === 'replica' ? now : null },
		host,
		hostWas: promotion.isNew ? 'new' : promotion.asStored ? to : null,
		liveness: watchOf(context, host, status === 'deleted', now),
		agent: { was: agent, is: promoted },
		command: command === null ? null : { was: command, is: completed(command, host, promotion.reason, now) },
		movesEmergency: !held && (emergency ?? null) !== null,
		record,
		now,
	};
	if (promotion.gather === undefined) await writePromotions(tx, [rows]);
	else promotion.gather.push(rows);
	const deleted = agent.status === 'deleted';
	if (from !== null)
		journal.book(
			{ ...from, role: old.role, primary_of: null },
			{
				at: old.role === 'terminated' ? endOf(from, old.terminatedAt ?? null, now) : now,
				overlapUntil: overlapUntil(agent, { ...old, hold }, command, rows.from?.role.hold_until ?? null, now),
			},
		);
	journal.book(host, { deleted });
	tell(journal, { ...promotion, old: { ...old, hold } }, host);
	journal.count('instance_promotions_total');
	const [type, since] = [MEASURED[promotion.reason], promotion.calledAt ?? command?.claimed_at ?? null];
	if (type !== null && since !== null) journal.observe('instance_promotion_duration_seconds', type, { since });
	noteDowntime(journal, null, record);
	if (isReported(promotion)) journal.count('switch_success_total');
	return { agent: promoted, host, record };
};

/** As what its duration is measured; nothing says when a takeover was called for, since silence has no beginning that was seen. */
const MEASURED: Readonly<Record<Reason, PromotionType | null>> = {
	registration: 'switch',
	report: 'switch',
	takeover: null,
	'taken-back': null,
	operator: 'manual',
	notice: 'emergency',
	silence: 'emergency',
};

/** Measures the downtime of a switch, once: when its record first says it. */
export const noteDowntime = (journal: Journal, before: SwitchRecord | null, { downtime_ms: ms }: SwitchRecord): void => {
	if (ms !== null && (before?.downtime_ms ?? null) === null) journal.observe('switch_downtime_seconds', null, { seconds: ms / 1000 });
};

/**
 * Until when an old primary is planned to run beside the new one: as long as the order says that made the switch, without one as long as the
 * agent's settings say now, or until AWS has taken it back. 0: nothing is planned, since it is no zombie or nobody but a person ends it.
 */
const overlapUntil = (
	agent: Agent,
	{ role, hold }: Promotion['old'],
	command: Command | null,
	holdUntil: number | null,
	now: number,
): number => {
	if (role !== 'zombie' || hold) return 0;
	const settings = agent.auto_terminate_enabled === 1 ? agent.terminate_wait_seconds : 0;
	// No list of a deleted agent names its zombies.
	const wait = agent.status === 'deleted' ? 0 : (command?.terminate_wait_seconds ?? settings) * 1000;
	const until = Math.max(wait > 0 ? now + wait : 0, holdUntil ?? 0);
	return until > now ? until : 0;
};

/** What becomes of the row of the old primary. */
const left = (from: Host, old: Promotion['old'], hold: boolean, emergency: Emergency | null, now: number) => ({
	handle: from.handle,
	role: old.role,
	primary_of: null,
	zombie_at: old.role === 'zombie' ? now : from.zombie_at,
	hold: hold ? (1 as const) : (0 as const),
	hold_until: old.role === 'zombie' ? holdUntil(from, emergency) : null,
	terminated_at: old.role === 'terminated' ? (old.terminatedAt ?? now) : null,
	termination_attempted_at: null,
	takes_back: 0 as const,
});

/** Lets the offline sweep look after the new primary; one that never called gets ten minutes. */
const watchOf = (context: Context, host: Host, deleted: boolean, now: number): PromotionRows['liveness'] => {
	if (host.registered_at !== null) return { watchAt: deleted ? null : now };
	const patience = Math.max(0, NAMED_PATIENCE_MS - context.settings.heartbeatTimeoutMs);
	return {
		handle: host.handle,
		seen_at: now,
		heartbeat_at: null,
		watch_at: deleted ? null : now + patience,
		commands_polled_at: null,
		replicas_polled_at: null,
		terminations_polled_at: null,
	};
};

const completed = (command: Command, host: Host, reason: Reason, now: number): Command => ({
	...command,
	status: 'completed',
	outcome: reason,
	message: null,
	open_switch_of: null,
	awaits_machine: 0,
	new_instance_id: host.instance_id,
	new_handle: host.handle,
	launched_at: command.launched_at ?? now,
	reported_at: reason === 'report' ? now : command.reported_at,
	completed_at: command.status === 'completed' ? command.completed_at : now,
	due_at: null,
});

/** Whether the agent says, now or later, what the switch cost and saves. */
const isReported = ({ reason }: Promotion): boolean => reason === 'report' || reason === 'registration';

const handlesOf = ({ from, to }: Promotion): string[] => (from === null ? [to.handle] : [from.handle, to.handle]);

const recordOf = (context: Context, promotion: Promotion, host: Host, now: number): SwitchRecord => {
	const { agent, from, command, record } = promotion;
	return {
		id: context.ids.uuid(),
		client_id: agent.client_id,
		agent_id: agent.id,
		command_id: command?.id ?? null,
		evidence: promotion.reason,
		success: 1,
		old_instance_id: from?.instance_id ?? null,
		new_instance_id: host.instance_id,
		old_mode: from?.mode ?? null,
		new_mode: host.mode ?? command?.target_mode ?? null,
		old_pool_id: from?.pool_id ?? null,
		new_pool_id: host.pool_id ?? command?.target_pool_id ?? null,
		old_spot_micros: null,
		new_spot_micros: null,
		ondemand_micros: null,
		impact_micros: null,
		trigger_type: command?.trigger_type ?? TRIGGERS[promotion.reason],
		initiated_at: command?.claimed_at ?? null,
		launched_at: null,
		ready_at: null,
		traffic_at: null,
		old_terminated_at: promotion.old.terminatedAt,
		ami_created_at: null,
		duration_ms: null,
		downtime_ms: null,
		snapshot_id: null,
		error_message: null,
		...record,
		generation: agent.generation + 1,
		created_at: now,
	};
};

/** What the history calls the cause where no command says it. */
const TRIGGERS: Readonly<Record<Reason, string>> = {
	registration: 'registration',
	report: 'agent',
	takeover: 'takeover',
	'taken-back': 'taken-back',
	operator: 'manual',
	notice: 'emergency',
	silence: 'emergency',
};

/** AWS ends what it takes back; its end is left to AWS until this long after the deadline. */
const HOLD_AFTER_MS = 10 * 60_000;
/** AWS does not bill the first hour of a machine it takes back: to end it ourselves would only cost money. */
export const FIRST_HOUR_MS = 3_600_000;
const NOTICE_MS = 120_000;

/** Until when a machine is left to AWS: ten minutes past its deadline (null where none was named), and its first hour; 0 when neither. */
export const leftToAws = (host: Host, deadline: number | null, signalledAt: number): number =>
	Math.max(
		signalledAt - host.created_at < FIRST_HOUR_MS ? host.created_at + FIRST_HOUR_MS : 0,
		deadline === null ? 0 : deadline + HOLD_AFTER_MS,
	);

/** Until when a machine that got a signal is left to AWS; null when nothing was signalled for it. */
export const holdUntil = (host: Host, emergency: Emergency | null | undefined): number | null => {
	if (emergency === undefined || emergency === null || emergency.kind === 'silent-primary' || emergency.handle !== host.handle) return null;
	const deadline = emergency.kind === 'termination' ? (emergency.deadline_at ?? emergency.received_at + NOTICE_MS) : null;
	return leftToAws(host, deadline, emergency.received_at) || null;
};

const WORDS: Readonly<Record<Exclude<Reason, 'operator'>, string>> = {
	registration: 'it registered and fits the switch that was ordered',
	report: 'its predecessor reported the switch',
	takeover: 'the primary fell silent',
	'taken-back': 'the machine that had taken over fell silent',
	notice: 'AWS takes its predecessor back',
	silence: 'the primary fell silent, and its replica was ready',
};

const tell = (journal: Journal, { agent, from, to, reason, command, old }: Promotion, host: Host): void => {
	const about = { clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id };
	const severity = ['takeover', 'taken-back', 'notice', 'silence'].includes(reason) ? 'warning' : 'info';
	const left = from === null ? '' : ` instead of ${from.instance_id} (now ${old.role}${old.hold ? ', on hold' : ''})`;
	const what = to.role === 'replica' ? 'the replica' : `it, a ${to.role} that called`;
	const why = reason === 'operator' ? `an operator promoted ${what}` : WORDS[reason];
	journal.event('switch_completed', `${host.instance_id} is the primary of ${agent.logical_agent_id}${left}: ${why}`, about, {
		severity,
		metadata: {
			reason,
			generation: agent.generation + 1,
			old_instance_id: from?.instance_id ?? null,
			command_id: command?.id ?? null,
			old_role: old.role,
			hold: old.hold,
		},
	});
	journal.notify(
		'instance_switched',
		'Instance switched',
		`${agent.logical_agent_id} runs on ${host.instance_id}${left}: ${why}`,
		about,
		severity,
	);
	journal.changed('agent', agent.id);
};
