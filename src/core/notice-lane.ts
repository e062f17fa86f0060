import { emergenciesOfAgents } from '../store/emergencies.ts';
import { checkServing } from '../store/open.ts';
import { hostsOfHandles, lockSituations } from '../store/situations.ts';
import { gather } from '../turns.ts';
import type { Caller } from './caller.ts';
import { speaksForAgent } from './calling-host.ts';
import type { Context } from './context.ts';
import { noAgent } from './directory.ts';
import { type Notice, REPEAT_MS, SIMULATED } from './notice.ts';
import { auditNotice, type Noticed, takeNotice } from './notices.ts';
import { servingSince } from './silence.ts';
import { StaleRow } from './unit.ts';
import { type Sets, workOn, writeSets } from './work.ts';

/** Hands a notice of a host to whoever works on notices; resolves after what it led to is durable. Errors: 404, 503. */
export type NoticeLane = (handle: string, caller: Caller, notice: Notice) => Promise<Noticed>;

/** How many notices this daemon has taken and not answered yet: what can wait gives way to them. */
export type NoticeLoad = { underWay: number };

/** How many notices may share a transaction: a storm is answered in sets instead of one by one (../shared/performance.md). */
const BATCH = 64;
/** How many transactions may be under way: while the database works on one, the next is made ready. */
const FLIGHTS = 3;

type Waiting = {
	readonly handle: string;
	readonly caller: Caller;
	readonly notice: Notice;
	readonly accept: (noticed: Noticed) => void;
	readonly reject: (error: unknown) => void;
};

type Outcome = { readonly noticed: Noticed } | { readonly error: unknown } | 'again';

/**
 * The lane of notices: beside routine traffic, without the engine, without a look-up that can fail. What arrives together is decided in one
 * transaction, each agent once; who comes twice waits for the next. Should a set fail, its notices are taken one by one.
 */
export const createNoticeLane = (context: Context): NoticeLane => {
	const queue: Waiting[] = [];
	const running = new Set<Promise<void>>();
	const busy = new Set<string>();
	let isGathering = false;

	const carryOut = async (batch: readonly Waiting[]): Promise<readonly Outcome[]> =>
		context.units(
			batch.map(({ caller }) => caller),
			'urgent',
			async (tx, journals) => {
				const handles = batch.map(({ handle }) => handle);
				const found = await hostsOfHandles(tx, handles);
				const agentIds = [...new Set([...found.values()].map((host) => host.agent_id))];
				const { rows, hosts } = await lockSituations(tx, agentIds, handles);
				const since = await servingSince(tx, context.clock.now());
				const recent = await emergenciesOfAgents(tx, agentIds, context.clock.now() - REPEAT_MS);
				const outcomes: Outcome[] = [];
				const decided = new Set<string>();
				const sets: Sets = { promotions: [], emergencies: [] };
				for (const [index, { handle, caller, notice }] of batch.entries()) {
					const journal = journals[index];
					const host = hosts.get(handle);
					const { principal } = caller;
					if (host === undefined || journal === undefined || (principal?.kind === 'client' && principal.clientId !== host.client_id)) {
						outcomes.push({ error: noAgent(handle) });
						continue;
					}
					if (decided.has(host.agent_id)) {
						outcomes.push('again');
						continue;
					}
					decided.add(host.agent_id);
					const situation = rows.get(host.agent_id);
					// While the lock was waited for, the machine was given to another agent (identity.md T8).
					if (situation === undefined) throw new StaleRow();
					const work = workOn(context, tx, journal, situation, since, sets);
					auditNotice(work, caller, notice);
					const isHost = !speaksForAgent(caller) && notice.route !== SIMULATED;
					const calling = speaksForAgent(caller) ? work.primary : host;
					outcomes.push({ noticed: await takeNotice(work, calling, isHost, notice, recent.get(host.agent_id) ?? []) });
				}
				await writeSets(tx, sets);
				return outcomes;
			},
		);

	const settle = (batch: readonly Waiting[], outcomes: readonly Outcome[]): void => {
		for (const [index, waiting] of batch.entries()) {
			const outcome = outcomes[index];
			if (outcome === 'again') queue.push(waiting);
			else if (outcome === undefined) waiting.reject(new Error('a notice had no outcome'));
			else if ('error' in outcome) waiting.reject(outcome.error);
			else waiting.accept(outcome.noticed);
		}
	};

	const work = async (batch: readonly Waiting[]): Promise<void> => {
		try {
			settle(batch, await carryOut(batch));
		} catch (error) {
			if (batch.length === 1 || !(await isServing())) {
				for (const each of batch) each.reject(error);
				return;
			}
			// One of them cannot be decided, or somebody holds its agent: the others must not wait for it.
			await Promise.all(
				batch.map(async (each) => {
					try {
						settle([each], await carryOut([each]));
					} catch (alone) {
						each.reject(alone);
					}
				}),
			);
		}
	};

	const isServing = async (): Promise<boolean> => {
		try {
			await checkServing(context.store);
			return true;
		} catch {
			return false;
		}
	};

	/** The next notices, each host once: two about one machine are one after the other. */
	const next = (): Waiting[] => {
		const batch: Waiting[] = [];
		const later: Waiting[] = [];
		const taken = new Set<string>();
		for (let waiting = queue.shift(); waiting !== undefined; waiting = queue.shift()) {
			if (taken.has(waiting.handle) || busy.has(waiting.handle)) later.push(waiting);
			else {
				taken.add(waiting.handle);
				batch.push(waiting);
				if (batch.length === BATCH) break;
			}
		}
		queue.unshift(...later);
		return batch;
	};

	const carryOn = (batch: readonly Waiting[]): void => {
		for (const { handle } of batch) busy.add(handle);
		const run = work(batch).finally(() => {
			for (const { handle } of batch) busy.delete(handle);
			running.delete(run);
			if (queue.length > 0) void begin();
		});
		running.add(run);
	};

	/** Takes what has arrived together; with every flight under way, or what waits being about machines under way, the next that lands does. */
	const begin = async (): Promise<void> => {
		if (isGathering || running.size >= FLIGHTS) return;
		isGathering = true;
		await gather(context.clock, BATCH * (FLIGHTS - running.size), () => queue.length);
		isGathering = false;
		while (running.size < FLIGHTS) {
			const batch = next();
			if (batch.length === 0) return;
			carryOn(batch);
		}
	};

	return async (handle, caller, notice) => {
		context.notices.underWay += 1;
		const noticed = await new Promise<Noticed>((accept, reject) => {
			queue.push({ handle, caller, notice, accept, reject });
			void begin();
		}).finally(() => {
			context.notices.underWay -= 1;
		});
		if (caller.principal?.kind === 'client' && notice.route !== SIMULATED)
			context.liveness.seen(handle, caller.principal.clientId, 'other');
		return noticed;
	};
};
