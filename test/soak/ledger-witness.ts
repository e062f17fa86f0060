import type { RequestEvent } from '../../src/fleet/fleet.ts';
import type { Db } from '../../src/store/statement.ts';
import { bodyOf, handleIn, isAnswered, listOf } from './witness.ts';

/**
 * An independent recomputation of the books: it imports nothing of the product's ledger, and adds up with big integers.
 *
 * It hears what agents sent and were answered, at the time at which the daemon took it: registrations, calls, price reports, notices and
 * goodbyes. What no agent can know it reads from the database, after every event that changed something: which handle a machine has that
 * has not registered, of which agent it is, its role (host.role, agent.status), the end of a machine that another one reported
 * (host.terminated_at), the pool a machine was ordered in (host.pool_id), and what is planned for an old primary when it stops being one
 * (the wait of the order that made the switch, host.hold, host.hold_until, agent.auto_terminate_enabled, agent.terminate_wait_seconds); and, at
 * the end of an outage, when the daemon last noted that it served (service_clock.alive_at).
 *
 * The rules are those of spec section 11 and of src/store/tables/ledger.ts. Every stretch of a machine's time in which nothing changes is
 * rounded once, half up, to the micro-dollar, and so is every part of it between two UTC midnights: the figures must be equal, not close.
 */
export type LedgerWitness = {
	hear(event: RequestEvent): void;
	/** Reads roles; `now` is the simulated time at which they changed, UTC milliseconds. Returns how many did. */
	look(db: Db, now: number): Promise<number>;
	/** No daemon served between two times, and the last time before that it noted that it did; UTC milliseconds. */
	outage(from: number, to: number, lastNotedAt: number): void;
	/** Roles and machines as they were last read. */
	readonly hosts: ReadonlyMap<string, HostRow>;
	/**
	 * What every machine's time counts for up to `until`, UTC milliseconds. `silences`: when the books let silences begin and end, by handle,
	 * for the two questions that nothing an agent sent decides. Whether a silence that was over before the daemon looked is in them; and which
	 * call ended one after an outage of the daemon: they know when a machine called last, not first, so of the calls before their next look
	 * theirs is taken.
	 */
	stretches(until: number, silences: ReadonlyMap<string, Silences>): Stretch[];
};

export type Silences = { readonly begin: ReadonlySet<number>; readonly end: ReadonlySet<number> };

export type Line = 'primary' | 'replica' | 'overlap' | 'zombie';
export type Quality = 'measured' | 'estimated' | 'unknown';

/** A stretch of one machine's time within a UTC day. Times in UTC milliseconds, money in micro-dollars. */
export type Stretch = {
	readonly clientId: string;
	readonly agentId: string;
	readonly handle: string;
	readonly instanceId: string;
	readonly line: Line;
	readonly quality: Quality;
	readonly start: number;
	readonly end: number;
	/** An hour's; null: unknown. */
	readonly price: number | null;
	readonly cost: bigint;
	readonly baseline: bigint;
	/** Why the quality is unknown, or what else the figure rests on. */
	readonly why: string;
};

/** A row of the host table, as far as it matters, and whether its agent is deleted. */
export type HostRow = {
	readonly handle: string;
	readonly client_id: string;
	readonly agent_id: string;
	readonly instance_id: string;
	readonly role: string;
	readonly mode: string | null;
	readonly pool_id: string | null;
	readonly instance_type: string | null;
	readonly region: string | null;
	readonly registered_at: number | null;
	readonly terminated_at: number | null;
	readonly deleted: boolean;
	/** Until when an old primary was to run beside the new one; null: nobody planned that, or a person keeps it, or it is none. */
	readonly overlapUntil: number | null;
};

type State = HostRow & { readonly at: number };
type Call = { readonly at: number; readonly kind: 'call' | 'beat' | 'goodbye' | 'registration' };
type Report = {
	readonly at: number;
	readonly spot: number | null;
	readonly onDemand: number | null;
	readonly points: ReadonlyMap<string, number>;
};
type Outage = { readonly from: number; readonly to: number; readonly lastNotedAt: number };

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A price is believed for so long after the last report that was noted, and one is noted at most so often (src/core/ledger.ts). */
const BELIEVED_MS = 2 * HOUR;
const NOTED_MS = 30 * MINUTE;
/** How old another machine's report of a pool, or of a type on demand, may be to stand for a price (src/core/ledger-book.ts). */
const POOL_PRICE_MS = HOUR;
const TYPE_PRICE_MS = DAY;
const BUCKET_MS = 5 * MINUTE;
/** AWS ends a machine two minutes after its notice; one that calls ten minutes after that was not taken back. */
const NOTICE_MS = 2 * MINUTE;
const ALIVE_AFTER_MS = 12 * MINUTE;
/** A primary that never registered is waited for at least so long (identity.md T3). */
const NAMED_MS = 10 * MINUTE;

/** The books are looked at so often by a daemon whose background work is unhurried. */
const LEDGER_LOOK_MS = 14 * MINUTE;

const micros = (usd: unknown): number | null => (typeof usd === 'number' && Number.isFinite(usd) ? Math.round(usd * 1_000_000) : null);

/** Micro-dollars of `ms` at `price` micro-dollars an hour, half up. */
export const amountOf = (price: number, ms: number): bigint => {
	const doubled = 2n * BigInt(price) * BigInt(ms) + BigInt(HOUR);
	return doubled / (2n * BigInt(HOUR));
};

const object = (value: unknown): Record<string, unknown> =>
	typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};

/** The prices in a report of any of the three agents (clients.md); null when there are none. */
const reportIn = ({ route, sent, at }: RequestEvent): Report | null => {
	const body = object(sent);
	const points = (list: unknown): Map<string, number> =>
		new Map(listOf(list).flatMap((pool) => [[String(pool['pool_id']), micros(pool['price']) ?? 0] as const]));
	if (route.endsWith('/decide')) {
		const current = listOf(body['spot_pools']).find((pool) => pool['is_current'] === true);
		return { at, spot: micros(current?.['price']), onDemand: micros(body['ondemand_price']), points: points(body['spot_pools']) };
	}
	const [pricing, instance] = [object(body['pricing']), object(body['instance'])];
	if (body['pricing'] !== undefined)
		return {
			at,
			spot: micros(pricing['current_spot_price']),
			onDemand: micros(pricing['on_demand_price']),
			points: points(pricing['spot_pools']),
		};
	const all = points(body['spot_pools']);
	return {
		at,
		spot: all.get(String(instance['current_pool_id'])) ?? null,
		onDemand: micros(object(body['on_demand_price'])['price']),
		points: all,
	};
};

/** Which line of the books a role is; null: it is in none. */
const lineOf = (host: HostRow, at = 0): Line | null => {
	const { role } = host;
	if (role === 'terminated' || isNobodys(host)) return null;
	if (role === 'primary') return 'primary';
	if (role === 'zombie' && at < (host.overlapUntil ?? 0)) return 'overlap';
	return role === 'zombie' || role === 'ended' ? 'zombie' : 'replica';
};

/** A primary whose agent is deleted. */
const isNobodys = ({ role, deleted }: HostRow): boolean => role === 'primary' && deleted;

/** Whose silence is noticed. */
const isWatched = ({ role }: HostRow): boolean => role === 'primary' || role === 'replica';

const sameState = (a: HostRow, b: HostRow): boolean =>
	a.role === b.role &&
	a.deleted === b.deleted &&
	a.overlapUntil === b.overlapUntil &&
	a.agent_id === b.agent_id &&
	a.mode === b.mode &&
	a.pool_id === b.pool_id &&
	a.registered_at === b.registered_at &&
	a.instance_type === b.instance_type;

/** The seconds the old primary of this generation runs on by the order that moved its agent to another machine; undefined: no order did. */
const orderedWait = async (db: Db, agentId: string, generation: number | null): Promise<number | undefined> => {
	const order = await db
		.selectFrom('command')
		.select('terminate_wait_seconds')
		.where('agent_id', '=', agentId)
		.where('generation', '=', generation ?? -1)
		.where('command_type', '=', 'switch')
		.where('status', '=', 'completed')
		.where('outcome', 'in', ['registration', 'report', 'takeover'])
		.where('new_handle', 'is not', null)
		.executeTakeFirst();
	return order?.terminate_wait_seconds;
};

type Heard = { readonly states: State[]; readonly calls: Call[]; readonly reports: Report[]; readonly notices: number[] };

/** `timeoutMs`: after so long without a call a machine is silent. `lookMs`: how late the daemon may notice it. */
export const createLedgerWitness = (timeoutMs: number, lookMs: number): LedgerWitness => {
	const machines = new Map<string, Heard>();
	const hosts = new Map<string, HostRow>();
	const handles = new Map<string, string>();
	const outages: Outage[] = [];
	const pools = new Map<string, Map<number, { at: number; micros: number; rank: number }>>();
	const listed: { readonly at: number; readonly handle: string; readonly onDemand: number }[] = [];

	const heardOf = (handle: string): Heard => {
		const found = machines.get(handle) ?? { states: [], calls: [], reports: [], notices: [] };
		machines.set(handle, found);
		return found;
	};

	const hear = (event: RequestEvent): void => {
		if (!isAnswered(event)) return;
		const { at, route, sent } = event;
		if (route === '/api/agents/uninstall') {
			const handle = handles.get(event.instanceId);
			if (handle !== undefined) heardOf(handle).calls.push({ at, kind: 'goodbye' });
			return;
		}
		if (route === '/api/agents/register') {
			const handle = String(bodyOf(event)['agent_id']);
			handles.set(event.instanceId, handle);
			heardOf(handle).calls.push({ at, kind: 'registration' });
			return;
		}
		const machine = heardOf(handleIn(event.path));
		const isBeat = route.endsWith('/heartbeat');
		machine.calls.push({ at, kind: !isBeat ? 'call' : sent?.['status'] === 'offline' ? 'goodbye' : 'beat' });
		if (route.endsWith('/pricing-report') || route.endsWith('/decide')) {
			const report = reportIn(event);
			if (report !== null) machine.reports.push(report);
		}
		const isTermination =
			route.endsWith('/termination-imminent') ||
			(route.endsWith('/rebalance-recommendation') && sent?.['immediate'] === true) ||
			(route.endsWith('/create-emergency-replica') &&
				sent?.['signal_type'] === 'termination-notice' &&
				hosts.get(handleIn(event.path))?.role === 'primary');
		if (isTermination) machine.notices.push(at);
	};

	const look = async (db: Db, now: number): Promise<number> => {
		const rows = await db
			.selectFrom('host')
			.innerJoin('agent', 'agent.id', 'host.agent_id')
			.select(['host.handle', 'host.client_id', 'host.agent_id', 'host.instance_id', 'host.role', 'host.mode', 'host.pool_id'])
			.select(['host.instance_type', 'host.region', 'host.registered_at', 'host.terminated_at', 'agent.status'])
			.select(['host.generation', 'host.hold', 'host.hold_until', 'agent.auto_terminate_enabled', 'agent.terminate_wait_seconds'])
			.where((eb) => eb.or([eb('host.role', '<>', 'terminated'), eb('host.terminated_at', '>', now - 12 * HOUR)]))
			.execute();
		let changed = 0;
		for (const { status, generation, hold, hold_until, auto_terminate_enabled, terminate_wait_seconds, ...row } of rows) {
			const before = hosts.get(row.handle);
			const deleted = status === 'deleted';
			let planned = row.role === 'zombie' && hold === 0 ? (before?.overlapUntil ?? 0) : 0;
			if (row.role === 'zombie' && hold === 0 && before?.role === 'primary') {
				const settings = auto_terminate_enabled === 1 ? terminate_wait_seconds : 0;
				const wait = deleted ? 0 : ((await orderedWait(db, row.agent_id, generation)) ?? settings);
				planned = Math.max(wait > 0 ? now + wait * 1000 : 0, hold_until ?? 0);
			} else if (deleted && before?.deleted === false) planned = 0;
			const host: HostRow = { ...row, deleted, overlapUntil: planned > 0 ? planned : null };
			hosts.set(host.handle, host);
			if (before !== undefined && sameState(before, host)) continue;
			changed++;
			// Somebody else reported when it ended; everything else is so from now on.
			const at = host.role === 'terminated' && before?.role !== 'terminated' ? (host.terminated_at ?? now) : now;
			heardOf(host.handle).states.push({ ...host, at });
		}
		return changed;
	};

	/** What machines said of pools and types, as far as it may stand for the price of another one: the best report of five minutes. */
	const publish = (): void => {
		pools.clear();
		listed.length = 0;
		const reports = [...machines].flatMap(([handle, { reports: own, states }]) =>
			own.map((report) => ({ ...report, handle, state: stateAt(states, report.at) })),
		);
		for (const { at, handle, points, onDemand, state } of reports.sort((a, b) => a.at - b.at)) {
			if (state === undefined || state.deleted) continue;
			const rank = state.role === 'primary' ? 4 : 2;
			if (onDemand !== null) listed.push({ at, handle, onDemand });
			for (const [pool, price] of points) {
				const buckets = pools.get(pool) ?? new Map();
				pools.set(pool, buckets);
				const bucket = Math.floor(at / BUCKET_MS);
				const before = buckets.get(bucket);
				if (before === undefined || before.rank < rank) buckets.set(bucket, { at, micros: price, rank });
			}
		}
	};

	const poolPrice = (pool: string | null, at: number): number | null => {
		const buckets = pools.get(pool ?? '');
		for (let bucket = Math.floor(at / BUCKET_MS); (bucket + 1) * BUCKET_MS > at - POOL_PRICE_MS; bucket--) {
			const row = buckets?.get(bucket);
			if (row !== undefined && row.at <= at && at - row.at <= POOL_PRICE_MS) return row.micros;
		}
		return null;
	};

	/** What a type costs on demand by anybody's word, up to a look of the books after `at`. */
	const typePrice = (state: State, at: number): number | null => {
		const said = listed.filter(
			(one) => one.at <= at + lookMs && at - one.at <= TYPE_PRICE_MS && hosts.get(one.handle)?.instance_type === state.instance_type,
		);
		return said.at(-1)?.onDemand ?? null;
	};

	const stretchesOf = (handle: string, machine: Heard, until: number, booked: Silences): Stretch[] => {
		const { states } = machine;
		const [first] = states;
		if (first === undefined) return [];
		const silences = silencesOf(machine, outages, { timeoutMs, lookMs, until, booked });
		const stale = staleOf(machine, first.at, until);
		const free = machine.notices.some(
			(at) => at + NOTICE_MS - first.at < HOUR && !machine.calls.some((call) => call.at > at + ALIVE_AFTER_MS),
		);
		const spans = priced(machine, silences, until);
		const cuts = [
			...new Set([
				...states.map(({ at }) => at),
				...spans.map(({ at }) => at),
				...silences.flat(),
				...stale.flat(),
				...states.flatMap(({ overlapUntil }) => overlapUntil ?? []),
				...machine.calls.flatMap(({ at, kind }) => (kind === 'registration' ? [at] : [])),
			]),
		]
			.filter((at) => at >= first.at && at < until)
			.sort((a, b) => a - b);
		const within = (intervals: readonly Interval[], at: number): boolean => intervals.some(([from, to]) => from <= at && at < to);
		const found: (Stretch & { readonly key: string })[] = [];
		for (const [index, start] of cuts.entries()) {
			const end = cuts[index + 1] ?? until;
			const state = stateAt(states, start);
			const line = state === undefined ? null : lineOf(state, start);
			if (state === undefined || line === null) continue;
			const prices = spans.findLast(({ at }) => at <= start);
			const said = state.mode === 'spot' ? prices?.spot : state.mode === 'ondemand' ? prices?.onDemand : null;
			const onDemand = prices?.onDemand?.micros ?? null;
			const isSilent = isWatched(state) && within(silences, start);
			const price = free ? 0 : (said?.micros ?? null);
			const isUnknown = isSilent || price === null || (line === 'primary' && onDemand === null);
			const isGuess = !isWatched(state) || within(stale, start) || state.registered_at === null;
			const quality: Quality = isUnknown ? 'unknown' : isGuess ? 'estimated' : 'measured';
			const source = isSilent
				? 'silent'
				: isUnknown
					? 'no price'
					: free
						? 'first hour'
						: isGuess
							? isWatched(state)
								? 'stale'
								: 'last'
							: said?.own === true
								? 'own'
								: 'quote';
			const key = JSON.stringify([
				state.role,
				line,
				state.mode,
				state.pool_id,
				state.agent_id,
				quality,
				price,
				source,
				said?.at ?? null,
				onDemand,
			]);
			const before = found.at(-1);
			const one = {
				clientId: state.client_id,
				agentId: state.agent_id,
				handle,
				instanceId: state.instance_id,
				line,
				quality,
				start,
				end,
				price: isSilent ? null : price,
				cost: BigInt(isUnknown ? 0 : (price ?? 0)),
				baseline: BigInt(isUnknown || line !== 'primary' ? 0 : (onDemand ?? 0)),
				why: source,
				key,
			};
			if (before?.key === key && before.end === start) found[found.length - 1] = { ...before, end };
			else found.push(one);
		}
		return found.flatMap((one) => byDay(one));
	};

	return {
		hear,
		look,
		hosts,
		outage: (from, to, lastNotedAt) => void outages.push({ from, to, lastNotedAt }),
		stretches: (until, silences) => {
			publish();
			return [...machines].flatMap(([handle, machine]) => stretchesOf(handle, machine, until, silences.get(handle) ?? NO_SILENCES));
		},
	};

	/** What a machine costs by its own word, else by what others said of its pool and type; from each time on. */
	function priced(machine: Heard, silences: readonly Interval[], until: number): Prices[] {
		const { states, reports } = machine;
		const times = [
			...new Set([
				...states.map(({ at }) => at),
				...reports.map(({ at }) => at),
				...silences.flat(),
				...midnights(states[0]?.at ?? until, until),
			]),
		].sort((a, b) => a - b);
		const found: Prices[] = [];
		let [spot, onDemand]: [Said | null, Said | null] = [null, null];
		let before: State | undefined;
		for (const at of times) {
			if (at >= until) break;
			const state = stateAt(states, at);
			if (state === undefined) continue;
			// A price belongs to a pool.
			if (before !== undefined && (before.mode !== state.mode || before.pool_id !== state.pool_id)) spot = null;
			// One that was nobody's has to say anew what it costs.
			if (before !== undefined && isNobodys(before) && !isNobodys(state)) [spot, onDemand] = [null, null];
			before = state;
			for (const report of reports) {
				if (report.at !== at || lineOf(state) === null || state.deleted) continue;
				spot = again(spot, report.spot, at, true);
				onDemand = again(onDemand, report.onDemand, at, true);
			}
			const line = lineOf(state);
			const isSilent = silences.some(([from, to]) => from <= at && at < to);
			const lacks = (state.mode === 'spot' ? spot : onDemand) === null || (line === 'primary' && onDemand === null);
			if (line !== null && !isSilent && state.mode !== null && lacks) {
				if (state.mode === 'spot' && spot === null) spot = again(spot, poolPrice(state.pool_id, at), at, false);
				if (onDemand === null) onDemand = again(onDemand, typePrice(state, at), at, false);
			}
			found.push({ at, spot, onDemand });
		}
		return found;
	}
};

type Said = { readonly micros: number; readonly at: number; readonly own: boolean };
type Prices = { readonly at: number; readonly spot: Said | null; readonly onDemand: Said | null };
const NO_SILENCES: Silences = { begin: new Set(), end: new Set() };
type Interval = readonly [from: number, to: number];

/** The same price said again is as old as its first report. */
const again = (before: Said | null, price: number | null, at: number, own: boolean): Said | null => {
	if (price === null || (before?.micros === price && before.own === own)) return before;
	return { micros: price, at, own };
};

const stateAt = (states: readonly State[], at: number): State | undefined => states.findLast((state) => state.at <= at);

const midnights = (from: number, to: number): number[] => {
	const found: number[] = [];
	for (let at = (Math.floor(from / DAY) + 1) * DAY; at < to; at += DAY) found.push(at);
	return found;
};

/** Rounds a stretch, whose cost and baseline are an hour's, day by day. */
const byDay = ({ key: _, ...one }: Stretch & { readonly key: string }): Stretch[] => {
	const edges = [one.start, ...midnights(one.start, one.end), one.end];
	return edges.slice(1).map((end, index) => {
		const start = edges[index] ?? one.start;
		return { ...one, start, end, cost: amountOf(Number(one.cost), end - start), baseline: amountOf(Number(one.baseline), end - start) };
	});
};

/**
 * When nobody vouched for a machine: from one timeout after it was last heard until it calls again; after an outage of the daemon from one
 * timeout after the daemon last noted that it served; from its goodbye on.
 */
const silencesOf = (
	{ states, calls }: Heard,
	outages: readonly Outage[],
	rule: {
		readonly timeoutMs: number;
		readonly lookMs: number;
		readonly until: number;
		readonly booked: Silences;
	},
): Interval[] => {
	const { timeoutMs, lookMs, until, booked } = rule;
	type Happened =
		| { readonly at: number; readonly order: 0; readonly down: Outage }
		| { readonly at: number; readonly order: 1; readonly up: Outage }
		| { readonly at: number; readonly order: 2; readonly state: State }
		| { readonly at: number; readonly order: 3; readonly call: Call };
	const events: Happened[] = [
		...outages.flatMap((outage): Happened[] => [
			{ at: outage.from, order: 0, down: outage },
			{ at: outage.to, order: 1, up: outage },
		]),
		...states.map((state): Happened => ({ at: state.at, order: 2, state })),
		...calls.map((call): Happened => ({ at: call.at, order: 3, call })),
	].sort((a, b) => a.at - b.at || a.order - b.order);
	const found: Interval[] = [];
	let state: State | undefined;
	/** Since when it was last heard while somebody watches it; null: nobody does. */
	let heard: number | null = null;
	let silent: { from: number; by: 'outage' | 'judged' } | null = null;
	let since = 0;
	const judge = (at: number): void => {
		if (heard === null) return;
		const due = Math.max(heard, since) + timeoutMs;
		if (at <= due) return;
		if (at - due < (at < until ? lookMs : lookMs + LEDGER_LOOK_MS) && !booked.begin.has(heard + timeoutMs)) return;
		silent = { from: Math.min(silent?.from ?? Infinity, heard + timeoutMs), by: 'judged' };
		heard = null;
	};
	const end = (at: number): void => {
		if (silent !== null && at > silent.from) found.push([silent.from, at]);
		silent = null;
	};
	for (const event of events) {
		// Nobody judged while no daemon ran.
		if (!('up' in event)) judge(event.at);
		if ('down' in event) continue;
		if ('up' in event) {
			const { to, lastNotedAt } = event.up;
			since = to;
			const from = lastNotedAt + timeoutMs;
			if (to > from && state !== undefined && lineOf(state) !== null && silent === null && (states[0]?.at ?? to) < from)
				silent = { from, by: 'outage' };
			continue;
		}
		if ('state' in event) {
			const next = event.state;
			const moved = state === undefined || state.role !== next.role || state.agent_id !== next.agent_id;
			const restored = state?.deleted === true && !next.deleted;
			if (moved || next.deleted) {
				end(next.at);
				heard = isWatched(next) && !next.deleted && (next.role === 'primary' || next.registered_at !== null) ? next.at : null;
				if (heard !== null && next.registered_at === null) heard += Math.max(0, NAMED_MS - timeoutMs);
			}
			if (restored) [silent, heard] = [{ from: next.at, by: 'judged' }, null];
			state = next;
			continue;
		}
		if (state === undefined || state.deleted || !isWatched(state)) continue;
		const { at, kind } = event.call;
		if (kind === 'goodbye') {
			silent = { from: silent?.from ?? at, by: 'judged' };
			heard = state.role === 'primary' ? null : at;
			continue;
		}
		const isRevived = kind === 'registration' || (kind === 'beat' && state.role === 'primary');
		if (isRevived || heard !== null) {
			const next = silent?.by === 'outage' && heard !== null ? calls.find((call) => booked.end.has(call.at) && call.at >= at) : undefined;
			end(next !== undefined && next.at - at <= LEDGER_LOOK_MS ? next.at : at);
			heard = at;
		}
	}
	judge(until);
	end(until);
	return found;
};

/** When a machine's own reports had stopped: what it costs then is an estimate. */
const staleOf = ({ reports, states }: Heard, from: number, until: number): Interval[] => {
	const found: Interval[] = [];
	let noted: number | null = null;
	let [spot, onDemand]: [number | null, number | null] = [null, null];
	let before: State | undefined;
	const returns = states.flatMap((state, index) => {
		const last = states[index - 1];
		return last !== undefined && isNobodys(last) && !isNobodys(state) ? [state.at] : [];
	});
	for (const [index, report] of reports.entries()) {
		const last = reports[index - 1]?.at ?? 0;
		const back = returns.find((at) => last < at && at <= report.at);
		if (back !== undefined) {
			if (noted !== null && noted + BELIEVED_MS < back) found.push([noted + BELIEVED_MS, back]);
			[noted, spot, onDemand] = [null, null, null];
		}
		const state = stateAt(states, report.at);
		if (state === undefined || state.deleted || lineOf(state) === null || (report.spot === null && report.onDemand === null)) continue;
		if (before !== undefined && (before.mode !== state.mode || before.pool_id !== state.pool_id)) spot = null;
		before = state;
		const isStale = noted !== null && report.at - noted > BELIEVED_MS;
		if (isStale && noted !== null) found.push([noted + BELIEVED_MS, report.at]);
		const differs = isStale || (report.spot ?? spot) !== spot || (report.onDemand ?? onDemand) !== onDemand;
		[spot, onDemand] = [report.spot ?? spot, report.onDemand ?? onDemand];
		if (noted === null || differs || report.at - noted > NOTED_MS) noted = report.at;
	}
	if (noted !== null && noted + BELIEVED_MS < until) found.push([Math.max(noted + BELIEVED_MS, from), until]);
	return found;
};
