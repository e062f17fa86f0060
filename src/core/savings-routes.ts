import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { listClientRows } from '../store/clients.ts';
import { ledgerState } from '../store/ledger.ts';
import { addSums, agentSegments, booksByPeriod, modesOf, NO_SUMS, openOfAgent, type Sums, switchesByDay } from '../store/savings.ts';
import type { Db } from '../store/statement.ts';
import { agentOf } from './agent-id.ts';
import type { Caller } from './caller.ts';
import { clientNamed } from './client-named.ts';
import type { Context } from './context.ts';
import { machineOf } from './ledger-book.ts';
import { pagesOf } from './paging.ts';
import { figuresOf, type SavingsFigures, savingsByClient, savingsOf, sharesOf } from './savings.ts';
import { closed, DAY_MS, type Segment } from './segments.ts';

const fleetPages = pagesOf('savings.fleet');
const segmentPages = pagesOf('savings.explain');

const usd = (micros: number): number => micros / 1_000_000;

/** Figures on the wire: USD. */
export const showFigures = (figures: SavingsFigures) => ({
	savings: usd(figures.savingsMicros),
	baseline: usd(figures.baselineMicros),
	actual: usd(figures.actualMicros),
	primaryCost: usd(figures.primaryMicros),
	replicaCost: usd(figures.replicaMicros),
	overlapCost: usd(figures.overlapMicros),
	zombieCost: usd(figures.zombieMicros),
	shares: sharesOf(figures),
});

const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'];
/** The English name of a month (`2026-11`). */
export const monthName = (period: string): string => MONTHS[Number(period.slice(5, 7)) - 1] ?? period;

const dayOf = (at: number): string => iso(at).slice(0, 10);
const monthOf = (at: number): string => iso(at).slice(0, 7);

/** From the begin of a month to that of the next. */
const monthBounds = (month: string): { from: number; to: number } => {
	const [year = 1970, number = 1] = month.split('-').map(Number);
	return { from: Date.UTC(year, number - 1), to: Date.UTC(year, number) };
};

type Period = Sums & { readonly period: string };

/** Sums of periods, each open segment in those it has lasted: oldest first. */
export const periods = (context: Context, clientId: string | null, unit: 'month' | 'day', from: string): Promise<Period[]> =>
	booksByPeriod(context.store.read, clientId, unit, from, context.clock.now());

/** Sums periods that `key` calls the same. */
const grouped = (rows: readonly Period[], key: (period: string) => string): Period[] => {
	const sums = new Map<string, Sums>();
	for (const { period, ...row } of rows) sums.set(key(period), addSums(sums.get(key(period)) ?? NO_SUMS, row));
	return [...sums].map(([period, row]) => ({ period, ...row }));
};

/** The Monday of a day's week. */
const weekOf = (day: string): string => {
	const at = Date.parse(`${day}T00:00:00Z`);
	return dayOf(at - ((new Date(at).getUTCDay() + 6) % 7) * DAY_MS);
};

const firstOfMonths = (now: number, back: number): string => {
	const date = new Date(now);
	return monthOf(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - back));
};

/** The periods of a range, oldest first; null: no such range. */
const rangeOf = async (context: Context, clientId: string, range: string): Promise<Period[] | null> => {
	const now = context.clock.now();
	switch (range) {
		case 'monthly':
			return periods(context, clientId, 'month', firstOfMonths(now, 11));
		case 'daily':
			return periods(context, clientId, 'day', dayOf(now - 89 * DAY_MS));
		case 'weekly':
			return grouped(await periods(context, clientId, 'day', weekOf(dayOf(now - 25 * 7 * DAY_MS))), weekOf);
		case 'yearly':
			return grouped(await periods(context, clientId, 'month', '1970-01'), (period) => period.slice(0, 4));
		default:
			return null;
	}
};

/** #35 */
export const clientSavings =
	(context: Context) =>
	async (input: Valid<'clientSavings'>): Promise<Output<'clientSavings'>> => {
		const client = await clientNamed(context.store.read, input.client_id);
		const rows = (await rangeOf(context, client.id, input.range)) ?? [];
		const items = rows.map((row) => {
			const figures = showFigures(figuresOf(row));
			return {
				...figures,
				period: row.period,
				name: input.range === 'monthly' ? monthName(row.period) : row.period,
				onDemandCost: figures.baseline,
				modelCost: figures.actual,
			};
		});
		return { items, nextCursor: null };
	};

/** #37 */
export const clientCharts =
	(context: Context) =>
	async (input: Valid<'clientCharts'>): Promise<Output<'clientCharts'>> => {
		const client = await clientNamed(context.store.read, input.client_id);
		const now = context.clock.now();
		const trend = await periods(context, client.id, 'month', firstOfMonths(now, 11));
		const modes = await modesOf(context.store.read, client.id);
		const switches = await switchesByDay(context.store.read, client.id, Date.parse(`${dayOf(now - 29 * DAY_MS)}T00:00:00Z`));
		return {
			savingsTrend: trend.map((row) => {
				const { savings, baseline, actual, shares } = showFigures(figuresOf(row));
				return { month: monthName(row.period), period: row.period, savings, baseline, actual, shares };
			}),
			modeDistribution: modes.map(({ mode, count }) => ({ mode: mode ?? 'unknown', count })),
			switchFrequency: switches.map(({ day, count }) => ({ date: dayOf(day), switches: count })),
		};
	};

/** Figures of a month, or of all time where none is named. */
const figuresIn = (
	context: Context,
	scope: { readonly clientId?: string | null; readonly agentId?: string | null },
	month: string | undefined,
): Promise<SavingsFigures> => {
	const now = context.clock.now();
	if (month === undefined) return savingsOf(context.store.read, scope, now);
	const { from, to } = monthBounds(month);
	return savingsOf(context.store.read, { ...scope, since: from, until: to }, now);
};

export const showSavings =
	(context: Context) =>
	async (input: Valid<'showSavings'>): Promise<Output<'showSavings'>> => {
		const client = await clientNamed(context.store.read, input.client_id);
		const figures = await figuresIn(context, { clientId: client.id }, input.month);
		return {
			...showFigures(figures),
			clientId: client.id,
			clientName: client.name,
			month: input.month ?? null,
			until: iso(context.clock.now()),
		};
	};

export const fleetSavings =
	(context: Context) =>
	async (input: Valid<'fleetSavings'>): Promise<Output<'fleetSavings'>> => {
		const { read } = context.store;
		const rows = await listClientRows(read, { limit: input.limit, after: fleetPages.after(input.cursor), name: null });
		const figures = await savingsByClientIn(context, rows.slice(0, input.limit), input.month);
		return fleetPages.page(
			rows,
			input.limit,
			(row) => ({ ...showFigures(figures.get(row.id) ?? figuresOf(NO_SUMS)), clientId: row.id, clientName: row.name }),
			(row) => row.id,
		);
	};

const savingsByClientIn = (context: Context, clients: ReadonlyArray<{ readonly id: string }>, month: string | undefined) => {
	const now = context.clock.now();
	const period = month ?? 'all';
	return savingsByClient(
		context.store.read,
		clients.map(({ id }) => id),
		now,
		period,
	);
};

const showSegment = (segment: Segment): Output<'explainSavings'>['segments'][number] => ({
	instanceId: segment.instance_id,
	line: segment.line,
	role: segment.role,
	mode: segment.mode,
	poolId: segment.pool_id,
	start: iso(segment.start_at),
	end: iso(segment.end_at),
	seconds: (segment.end_at - segment.start_at) / 1000,
	price: segment.price_micros === null ? null : usd(segment.price_micros),
	priceSource: segment.price_source,
	pricedAt: isoOr(segment.priced_at),
	onDemandPrice: segment.ondemand_micros === null ? null : usd(segment.ondemand_micros),
	quality: segment.quality,
	cost: usd(segment.cost_micros),
	baseline: usd(segment.baseline_micros),
	closedBy: segment.closed_by,
});

/** Later than every segment: what is open comes after what is closed, by machine. */
const OPEN = 999_999_999_999_999;

/** Where a page of segments begins: after a closed one, or after an open one. */
type Position = {
	readonly closed: { readonly at: number; readonly id: number } | null;
	readonly open: { readonly handle: string; readonly start: number } | null;
};

/** Where the page after a cursor begins. Errors: 400 INVALID_CURSOR. */
const positionOf = (cursor: string | undefined): Position => {
	const given = segmentPages.afterPair(cursor);
	if (given === null) return { closed: null, open: null };
	if (given.first === OPEN) {
		const [, handle, start] = /^(.*)~(\d{1,15})$/.exec(given.id) ?? [];
		if (handle === undefined) throw segmentPages.invalid();
		return { closed: null, open: { handle, start: Number(start) } };
	}
	if (!/^\d{1,15}$/.test(given.id)) throw segmentPages.invalid();
	return { closed: { at: given.first, id: Number(given.id) }, open: null };
};

type Shown = Output<'explainSavings'>['segments'][number];

/** Open segments of an agent as they would be if they ended now, cut at each midnight; what began in a time, at most `room` after a position. */
const openSegments = async (
	db: Db,
	agentId: string,
	{ now, from, to, after, room }: { now: number; from: number; to: number; after: { handle: string; start: number }; room: number },
): Promise<{ items: Shown[]; next: string | null }> => {
	if (from >= now) return { items: [], next: null };
	// Each has a segment at least, but of the first what there was may be shown already.
	const rows = await openOfAgent(db, agentId, { from: after.handle, before: Math.min(to, now), limit: room + 2 });
	const all = rows.flatMap((row) =>
		closed(machineOf(row), now, 'open')
			.filter(({ start_at }) => start_at >= from && start_at < to)
			.filter(({ start_at }) => row.handle !== after.handle || start_at > after.start)
			.map((segment) => ({
				position: { handle: row.handle, start: segment.start_at },
				shown: { ...showSegment(segment), closedBy: 'open' },
			})),
	);
	const { handle, start } = all[room - 1]?.position ?? after;
	return {
		items: all.slice(0, room).map(({ shown }) => shown),
		next: all.length > room ? segmentPages.cursor(`${OPEN}:${handle}~${start}`) : null,
	};
};

export const explainSavings =
	(context: Context) =>
	async (input: Valid<'explainSavings'>, caller: Caller): Promise<Output<'explainSavings'>> => {
		const { read } = context.store;
		const now = context.clock.now();
		const agent = await agentOf(read, input.agent_id, caller);
		const month = input.month ?? monthOf(now);
		const { from, to } = monthBounds(month);
		const position = positionOf(input.cursor);
		const rows = position.open === null ? await agentSegments(read, agent.id, from, to, position.closed, input.limit) : [];
		const page = segmentPages.page(rows, input.limit, showSegment, (row) => `${row.start_at}:${row.id}`);
		const after = position.open ?? { handle: '', start: 0 };
		const open =
			page.nextCursor === null
				? await openSegments(read, agent.id, { now, from, to, after, room: input.limit - page.items.length })
				: { items: [], next: page.nextCursor };
		return {
			agentId: agent.id,
			month,
			figures: showFigures(await figuresIn(context, { agentId: agent.id }, month)),
			countsFrom: isoOr((await ledgerState.first(read, {}))?.pruned_before ?? null),
			segments: [...page.items, ...open.items],
			next_cursor: open.next,
		};
	};
