import type { Output, Valid } from '../contract/index.ts';
import { SpotError } from '../errors.ts';
import { agentById } from '../store/agents.ts';
import { clientById } from '../store/clients.ts';
import { addReport, type Emergency, saveEmergency } from '../store/emergencies.ts';
import { type Host, primaryOf } from '../store/hosts.ts';
import { sameEvent } from '../store/journal.ts';
import type { Replica } from '../store/replicas.ts';
import { agentIdOf } from './agent-id.ts';
import type { Caller } from './caller.ts';
import { agentDeleted, speaksForAgent } from './calling-host.ts';
import type { Context } from './context.ts';
import { endEmergency, openEmergency, store } from './emergency-book.ts';
import {
	fromImminent,
	fromRebalanceNotice,
	fromRecommendation,
	fromReplicaRequest,
	fromTerminationNotice,
	type Notice,
	REPEAT_MS,
	repeatedBy,
	SIMULATED,
	seenAt,
	simulated,
} from './notice.ts';
import type { NoticeLane } from './notice-lane.ts';
import { NO_WISHES, riskOf } from './pool-choice.ts';
import { leftToAws } from './promotion.ts';
import { reconcile } from './reconcile.ts';
import { endReplica } from './replica-end.ts';
import { placeholder } from './replica-rules.ts';
import { usd } from './report.ts';
import type { Work } from './work.ts';

/** What a notice led to: every route makes its answer of it. */
export type Noticed = {
	/** Another machine is the primary: the caller may stop. */
	readonly failedOver: boolean;
	readonly action: string;
	readonly message: string;
	readonly emergency: Emergency | null;
	readonly replica: Replica | null;
	readonly newInstanceId: string | null;
	readonly pool: string | null;
};

const nothing = (message: string, newInstanceId: string | null, action = 'none'): Noticed => ({
	failedOver: false,
	action,
	message,
	emergency: null,
	replica: null,
	newInstanceId,
	pool: null,
});

/**
 * What a notice means, by the caller's role (identity.md section 5): the primary's is an emergency, a standby's loses the standby, a zombie's
 * is answered with who took over. `isHost`: the host itself says it, not somebody in its name. `recent` holds the agent's emergencies of the last two hours, newest first.
 */
export const takeNotice = async (
	work: Work,
	host: Host,
	isHost: boolean,
	notice: Notice,
	recent: readonly Emergency[],
): Promise<Noticed> => {
	const { agent, primary } = work;
	if (agent.status === 'deleted') return nothing(`agent ${agent.logical_agent_id} was deleted`, null);
	if (host.handle === primary.handle) return primaryNotice(work, isHost, notice, recent);
	if (host.role === 'replica' || host.role === 'candidate' || host.role === 'named') return standbyNotice(work, host, notice);
	const known = recent.find((emergency) => emergency.handle === host.handle && emergency.kind === notice.kind);
	if (known !== undefined) await addReport.later(work.tx, { id: known.id, now: work.now, signal_at: seenAt(notice.signalAt, work.now) });
	const message = `${primary.instance_id} is the primary of ${agent.logical_agent_id}; ${host.instance_id} is ${host.role}`;
	if (notice.kind === 'termination' && notice.via === 'failover')
		return { ...nothing(message, primary.instance_id, 'replica_promoted'), failedOver: true, emergency: known ?? null };
	return { ...nothing(message, primary.instance_id), emergency: known ?? null };
};

const primaryNotice = async (work: Work, isHost: boolean, notice: Notice, recent: readonly Emergency[]): Promise<Noticed> => {
	const before = work.primary;
	const hadReplica = work.replica;
	if (notice.wishes !== NO_WISHES) work.wishes = notice.wishes;
	if (isHost) {
		// It is calling right now, whatever the books say.
		work.primarySilent = false;
		work.silentSince = null;
	}
	const known = await emergencyFor(work, isHost, notice, recent);
	if (known.new_handle !== null && known.open_of === null) {
		await store(work);
		return answered(work, before, known, hadReplica);
	}
	await reconcile(work);
	return answered(work, before, work.emergency ?? known, hadReplica);
};

/** The emergency of this notice: the open one, an ended one that is taken up again, or a new one. */
const emergencyFor = async (work: Work, isHost: boolean, notice: Notice, recent: readonly Emergency[]): Promise<Emergency> => {
	const { primary, emergency: open, tx, now } = work;
	const isOpenHere = open !== null && open.handle === primary.handle && open.promoted_at === null;
	// A termination that is under way is stronger than a recommendation for the same machine.
	const covers = isOpenHere && (open.kind === notice.kind || (open.kind === 'termination' && notice.kind === 'rebalance'));
	const found = covers ? open : repeatedBy(notice, primary, isHost, recent);
	// AWS names another time: another notice (an interrupted machine was started again, or only simulated before).
	const repeated = found !== null && isAnother(found, notice, now) ? null : found;
	if (repeated === null) {
		return openEmergency(work, {
			kind: notice.kind,
			notice_at: notice.noticeAt,
			deadline_at: notice.deadlineAt,
			signal_at: seenAt(notice.signalAt, now),
			wishes: notice.wishes === NO_WISHES ? null : JSON.stringify(notice.wishes),
			why: notice.kind === 'termination' ? 'AWS takes the machine back in two minutes' : 'AWS recommends to move',
		});
	}
	const isOpen = repeated.open_of !== null;
	// What AWS still says about the same primary is taken up again; what was failed over stays so.
	const weaker = open === null || (notice.kind === 'termination' && open.kind !== 'termination' && open.promoted_at === null);
	const reopens = !isOpen && repeated.new_handle === null && repeated.handle === primary.handle && weaker;
	if (reopens && open !== null) await endEmergency(work, 'escalated', 'AWS takes the machine back', false);
	const saved: Emergency = {
		...repeated,
		reports: repeated.reports + 1,
		last_report_at: now,
		repeats: notice.repeated && repeated.reports > 0 ? 1 : repeated.repeats,
		deadline_at: repeated.deadline_at ?? notice.deadlineAt,
		// The second call of classic says when it saw the signal; the first could not.
		signal_at: notice.signalAt === null ? repeated.signal_at : Math.min(repeated.signal_at, seenAt(notice.signalAt, now)),
		...(reopens ? { open_of: work.agent.id, outcome: null, ended_at: null, step: 'plan' as const, step_at: now } : {}),
	};
	if (isOpen || reopens) {
		work.emergency = saved;
		work.unsaved ??= 'changed';
	} else await saveEmergency.later(tx, saved);
	return saved;
};

/** Whether a notice that is known names a deadline that is another's: a minute or more from the one in the books, and not past. */
const isAnother = ({ deadline_at, kind }: Emergency, notice: Notice, now: number): boolean =>
	kind === 'termination' &&
	deadline_at !== null &&
	notice.deadlineAt !== null &&
	notice.deadlineAt > now &&
	Math.abs(notice.deadlineAt - deadline_at) >= 60_000;

const answered = (work: Work, before: Host, emergency: Emergency, replica: Replica | null): Noticed => {
	const { primary, agent } = work;
	const took = emergency.new_instance_id ?? (primary.handle === before.handle ? null : primary.instance_id);
	const of = (row: Replica | null) => ({ emergency, replica: row, pool: row?.pool_id ?? null });
	const base = of(work.replica ?? replica);
	if (took !== null)
		return {
			...of(replica),
			failedOver: true,
			action: 'replica_promoted',
			message: `${took} is the primary of ${agent.logical_agent_id}`,
			newInstanceId: took,
		};
	const live = work.replica;
	if (emergency.kind === 'rebalance')
		return {
			...base,
			failedOver: false,
			action: 'monitor',
			message: live === null ? (emergency.message ?? 'no replica could be ordered for now') : `a replica is ${live.status}`,
			newInstanceId: null,
		};
	if (live === null)
		return {
			...base,
			replica: null,
			failedOver: false,
			action: 'emergency_snapshot_required',
			message: emergency.message ?? 'no replica exists and none could be ordered for now',
			newInstanceId: null,
		};
	// Until a machine exists there is nothing to promote, whoever ordered one and when.
	const ordered = live.handle === null;
	return {
		...base,
		failedOver: false,
		action: ordered ? 'emergency_snapshot_required' : 'promote_when_ready',
		message: ordered
			? `no replica exists; one in ${live.pool_id} is ordered: fetch it with replicas?status=launching, it is promoted when ready`
			: `the replica is ${live.status}; it is promoted when ready`,
		newInstanceId: null,
	};
};

/** AWS takes a standby, or may: the slot is freed, and a new one is ordered where the mode or an emergency needs it. */
const standbyNotice = async (work: Work, host: Host, notice: Notice): Promise<Noticed> => {
	const { tx, journal, agent, primary, replica, now } = work;
	const about = { clientId: agent.client_id, agentId: agent.id, instanceId: host.instance_id };
	if (notice.kind === 'rebalance' || notice.via !== 'failover') {
		const message = `AWS signalled a ${notice.kind} for ${host.instance_id}, a ${host.role} of ${agent.logical_agent_id}`;
		// v4 repeats its signal every ten seconds for as long as it stands.
		const told = await sameEvent.first(tx, { agent_id: agent.id, type: 'standby_signalled', message, since: now - REPEAT_MS });
		if (told === undefined) journal.event('standby_signalled', message, about, { severity: 'warning' });
		return nothing(`${host.instance_id} is a ${host.role}: nothing is ordered for it`, primary.instance_id);
	}
	journal.event('standby_lost', `AWS takes back ${host.instance_id}, the ${host.role} of ${agent.logical_agent_id}`, about, {
		severity: 'warning',
	});
	journal.book(host, { kind: 'reclaimed' });
	if (replica !== null && replica.handle === host.handle) {
		await endReplica(work, {
			status: 'failed',
			why: 'AWS takes its machine back',
			machine: 'ended',
			holdUntil: leftToAws(host, notice.deadlineAt ?? now + 120_000, now),
		});
		await reconcile(work);
	}
	return nothing(`${host.instance_id} is a ${host.role}; ${primary.instance_id} stays the primary`, null, 'standby_lost');
};

const poolOf = (replica: Replica | null) =>
	replica?.pool_id == null ? null : { id: replica.pool_id, name: replica.pool_id, az: replica.az };

const idOf = ({ emergency }: Noticed): string | null => emergency?.id ?? null;

/** #53 */
export const rebalanceRecommendation =
	(context: Context, lane: NoticeLane) =>
	async (input: Valid<'rebalanceRecommendation'>, caller: Caller): Promise<Output<'rebalanceRecommendation'>> => {
		const notice = fromRecommendation(input, context.clock.now());
		const noticed = await lane(input.agent_id, caller, notice);
		const isTermination = notice.kind === 'termination';
		// Of interest only: what is decided does not wait for it, and it fails nothing.
		const pool = noticed.emergency?.pool_id ?? null;
		const signals = isTermination || pool === null ? null : await signalsOf(context, pool);
		const acted = noticed.action !== 'none' && noticed.action !== 'standby_lost';
		return {
			success: isTermination ? noticed.failedOver : acted,
			action: noticed.action,
			risk_score: isTermination ? 1 : riskOf(signals ?? 0),
			reason: signals === null ? noticed.message : `${signals} signals in ${pool} in 30 days`,
			message: noticed.message,
			replica_id: noticed.replica?.id ?? null,
			replica_status: noticed.replica?.status ?? null,
			new_instance_id: noticed.newInstanceId,
			emergency_id: idOf(noticed),
		};
	};

const signalsOf = async (context: Context, pool: string): Promise<number> => {
	try {
		return (await context.signals.of(context.store.read, [pool])).get(pool) ?? 0;
	} catch {
		return 0;
	}
};

/** #54 */
export const createEmergencyReplica =
	(context: Context, lane: NoticeLane) =>
	async (input: Valid<'createEmergencyReplica'>, caller: Caller): Promise<Output<'createEmergencyReplica'>> => {
		const notice = fromReplicaRequest(input, context.clock.now());
		const noticed = await lane(input.agent_id, caller, notice);
		const { replica } = noticed;
		const machine = replica?.instance_id ?? (noticed.failedOver ? noticed.newInstanceId : null);
		return {
			success: replica !== null,
			action: noticed.action,
			replica_id: replica?.id ?? null,
			instance_id: machine ?? (replica === null ? null : placeholder(replica)),
			replica_instance_id: machine,
			pool: poolOf(replica),
			hourly_cost: usd(replica?.hourly_micros ?? null),
			message: noticed.message,
			urgency: notice.kind === 'termination' ? 'critical' : 'high',
			new_instance_id: noticed.newInstanceId,
			emergency_id: idOf(noticed),
		};
	};

const imminent = (noticed: Noticed): Output<'terminationImminent'> => {
	const { emergency, failedOver, message } = noticed;
	const took = emergency?.promoted_at == null ? null : emergency.promoted_at - emergency.received_at;
	return {
		success: failedOver,
		action: noticed.action,
		message,
		new_instance_id: noticed.newInstanceId,
		replica_id: noticed.replica?.id ?? (failedOver ? (emergency?.replica_id ?? null) : null),
		failover_time_ms: failedOver ? took : null,
		emergency_id: idOf(noticed),
	};
};

/** #55 */
export const terminationImminent =
	(context: Context, lane: NoticeLane) =>
	async (input: Valid<'terminationImminent'>, caller: Caller): Promise<Output<'terminationImminent'>> =>
		imminent(await lane(input.agent_id, caller, fromImminent(input, context.clock.now())));

/** `enough`: a replica that is ordered is what the route is for; a termination is done only when another machine is the primary. */
const v6 = (noticed: Noticed, action: string, enough: boolean): Output<'rebalanceNotice'> => {
	const success = noticed.failedOver || (enough && noticed.replica !== null);
	return {
		success,
		status: 'acknowledged',
		action: success ? action : noticed.action,
		message: noticed.message,
		emergency_replica_id: noticed.replica?.id ?? null,
		new_instance_id: noticed.newInstanceId,
		emergency_id: idOf(noticed),
	};
};

/** X15 */
export const rebalanceNotice =
	(context: Context, lane: NoticeLane) =>
	async (input: Valid<'rebalanceNotice'>, caller: Caller): Promise<Output<'rebalanceNotice'>> =>
		v6(await lane(input.agent_id, caller, fromRebalanceNotice(input, context.clock.now())), 'emergency_replica_created', true);

/** X16 */
export const terminationNotice =
	(context: Context, lane: NoticeLane) =>
	async (input: Valid<'terminationNotice'>, caller: Caller): Promise<Output<'terminationNotice'>> =>
		v6(await lane(input.agent_id, caller, fromTerminationNotice(input, context.clock.now())), 'emergency_promotion_initiated', false);

/** A notice to the primary of a test client. Errors: 403 NOT_A_TEST_CLIENT, 404. */
export const simulateNotice =
	(context: Context, lane: NoticeLane) =>
	async (input: Valid<'simulateNotice'>, caller: Caller): Promise<Output<'simulateNotice'>> => {
		const { read } = context.store;
		const agentId = await agentIdOf(read, input.agent_id, caller);
		const agent = await agentById.first(read, { id: agentId });
		if (agent === undefined || agent.status === 'deleted') throw agentDeleted(agentId);
		const client = await clientById.first(read, { id: agent.client_id });
		if (client?.test_client !== 1)
			throw new SpotError('forbidden', 'NOT_A_TEST_CLIENT', 'notices are simulated for test clients only', {
				hint: `mark it as one: spotctl clients set ${client?.name ?? agent.client_id} --test`,
			});
		const primary = await primaryOf.first(read, { agent_id: agentId });
		const noticed = await lane(primary?.handle ?? agentId, caller, simulated(input.kind, context.clock.now()));
		return {
			success: noticed.failedOver || noticed.replica !== null,
			action: noticed.action,
			message: noticed.message,
			replica_id: noticed.replica?.id ?? null,
			new_instance_id: noticed.newInstanceId,
			emergency_id: idOf(noticed),
		};
	};

/** Audits a notice that an operator made up, or brought in an agent's name. */
export const auditNotice = (work: Work, caller: Caller, notice: Notice): void => {
	if (speaksForAgent(caller) || notice.route === SIMULATED)
		work.journal.audit(`notices.${notice.kind}`, 'agent', work.agent.id, work.agent.client_id, null, {
			route: notice.route,
			deadline_at: notice.deadlineAt,
			primary: work.primary.instance_id,
		});
};
