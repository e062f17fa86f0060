import type { Api } from '../../src/contract/index.ts';
import type { Db } from '../../src/store/statement.ts';
import { amountOf, type Line, type Quality, type Stretch } from './ledger-witness.ts';

const DAY = 86_400_000;

/** A segment of the product's books; one that is open ends now. Money in micro-dollars, times in UTC milliseconds. */
export type Booked = {
	readonly clientId: string;
	readonly agentId: string;
	readonly handle: string;
	readonly instanceId: string;
	readonly line: Line;
	readonly quality: Quality;
	readonly start: number;
	readonly end: number;
	readonly cost: bigint;
	readonly baseline: bigint;
};

/** Every segment of the books, closed or open, by machine and time. */
export const readBooked = async (db: Db, now: number): Promise<Booked[]> => {
	const closed = await db
		.selectFrom('cost_segment')
		.select(['client_id', 'agent_id', 'handle', 'instance_id', 'line', 'quality', 'start_at', 'end_at', 'cost_micros', 'baseline_micros'])
		.execute();
	const open = await db
		.selectFrom('ledger_host')
		.select(['client_id', 'agent_id', 'handle', 'instance_id', 'line', 'quality', 'start_at', 'price_micros', 'baseline_micros'])
		.where('start_at', '<', now)
		.execute();
	const rows = [
		...closed.map((row) => ({ ...row, cost: BigInt(row.cost_micros), baseline: BigInt(row.baseline_micros) })),
		...open.map(({ price_micros, baseline_micros, ...row }) => ({
			...row,
			end_at: now,
			cost: amountOf(Number(price_micros ?? 0), now - Number(row.start_at)),
			baseline: amountOf(Number(baseline_micros ?? 0), now - Number(row.start_at)),
		})),
	];
	return rows
		.map(({ client_id, agent_id, handle, instance_id, line, quality, start_at, end_at, cost, baseline }) => ({
			...{ clientId: client_id, agentId: agent_id, handle, instanceId: instance_id, line, quality, cost, baseline },
			start: Number(start_at),
			end: Number(end_at),
		}))
		.sort((a, b) => (a.handle < b.handle ? -1 : a.handle > b.handle ? 1 : a.start - b.start));
};

/** What some segments add up to: micro-dollars by line, and milliseconds by quality. */
export type Sum = Record<Line | 'baseline' | 'savings', bigint> & Record<Quality, number>;

export const sumOf = (segments: readonly Pick<Booked, 'line' | 'quality' | 'start' | 'end' | 'cost' | 'baseline'>[]): Sum => {
	const sum: Sum = { primary: 0n, replica: 0n, overlap: 0n, zombie: 0n, baseline: 0n, savings: 0n, measured: 0, estimated: 0, unknown: 0 };
	for (const { line, quality, start, end, cost, baseline } of segments) {
		sum[line] += cost;
		sum.baseline += baseline;
		sum.savings += baseline - cost;
		sum[quality] += end - start;
	}
	return sum;
};

export const groupBy = <T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> => {
	const groups = new Map<string, T[]>();
	for (const item of items) {
		const group = groups.get(keyOf(item));
		if (group === undefined) groups.set(keyOf(item), [item]);
		else group.push(item);
	}
	return groups;
};

const monthOf = ({ start }: { readonly start: number }): string => new Date(start).toISOString().slice(0, 7);
const dayOf = ({ start }: { readonly start: number }): string => new Date(start).toISOString().slice(0, 10);

const shown = ({
	line,
	quality,
	start,
	end,
	cost,
	baseline,
}: Pick<Booked, 'line' | 'quality' | 'start' | 'end' | 'cost' | 'baseline'>): string =>
	`${new Date(start).toISOString().slice(5, 23)}–${new Date(end).toISOString().slice(5, 23)} ${line} ${quality} ${cost}/${baseline}`;

/** Unknown time counts for nothing, wherever it is cut: what follows itself within a day is one. */
export const joined = <S extends Pick<Booked, 'line' | 'quality' | 'start' | 'end'>>(segments: readonly S[], acrossDays = false): S[] => {
	const found: S[] = [];
	for (const segment of segments) {
		const last = found.at(-1);
		const follows = last?.quality === 'unknown' && segment.quality === 'unknown' && last.end === segment.start;
		if (follows && (acrossDays || (last.line === segment.line && segment.start % DAY !== 0)))
			found[found.length - 1] = { ...last, end: segment.end };
		else found.push(segment);
	}
	return found;
};

/** Where the books of a machine and the witness first disagree, with what is around it. */
export const segmentDifferences = (booked: readonly Booked[], witnessed: readonly Stretch[]): string[] => {
	const [ours, theirs] = [groupBy(booked, ({ handle }) => handle), groupBy(witnessed, ({ handle }) => handle)];
	const found: string[] = [];
	for (const handle of new Set([...ours.keys(), ...theirs.keys()])) {
		const [own, other] = [joined(ours.get(handle) ?? []), joined(theirs.get(handle) ?? [])];
		const [a, b] = [own.map(shown), other.map((one) => shown(one))];
		const at = a.findIndex((text, index) => text !== b[index]);
		if (at < 0 && a.length === b.length) continue;
		const first = at < 0 ? a.length : at;
		const around = (list: readonly string[]): string => list.slice(Math.max(0, first - 1), first + 3).join('\n      ');
		found.push(
			`${own[0]?.instanceId ?? other[0]?.instanceId}, segment ${first} of ${a.length} (${b.length} witnessed):\n    books\n      ${around(a)}\n    witness\n      ${around(b)} (${other[first]?.why})`,
		);
	}
	return found;
};

/** Segments of a machine may leave its time out (it was booked as ended and called again), and never count it twice. */
export const brokenTiles = (booked: readonly Booked[]): string[] => {
	const found: string[] = [];
	for (const [handle, own] of groupBy(booked, ({ handle: of }) => of))
		for (const [index, { start, end }] of own.entries()) {
			const next = own[index + 1];
			if (end <= start) found.push(`a segment of ${handle} ends ${start - end} ms before it begins`);
			if (next !== undefined && next.start < end) found.push(`two segments of ${handle} overlap by ${end - next.start} ms`);
			if (Math.floor(start / DAY) !== Math.floor((end - 1) / DAY)) found.push(`a segment of ${handle} is in two UTC days`);
		}
	return found;
};

const usdToMicros = (usd: number): bigint => BigInt(Math.round(usd * 1_000_000));

type Figures = { savings: number; baseline: number; primaryCost: number; replicaCost: number; overlapCost: number; zombieCost: number };

const unlike = (what: string, figures: Figures, sum: Sum): string[] => {
	const pairs: readonly (readonly [name: string, shown: number, summed: bigint])[] = [
		['primary', figures.primaryCost, sum.primary],
		['replica', figures.replicaCost, sum.replica],
		['overlap', figures.overlapCost, sum.overlap],
		['zombie', figures.zombieCost, sum.zombie],
		['baseline', figures.baseline, sum.baseline],
		['savings', figures.savings, sum.savings],
	];
	return pairs.flatMap(([name, usd, summed]) =>
		usdToMicros(usd) === summed ? [] : [`${what}: ${name} is ${usdToMicros(usd)} micro-dollars, witnessed ${summed}`],
	);
};

/** Every view of the product against the witness: agent and month, client and month, client and day, client, everybody. */
export const viewDifferences = async (api: Api, witnessed: readonly Stretch[]): Promise<string[]> => {
	const found: string[] = [];
	for (const [agentId, own] of groupBy(witnessed, ({ agentId: of }) => of))
		for (const [month, part] of groupBy(own, monthOf)) {
			const { figures } = await api.explainSavings({ agent_id: agentId, month, limit: 1 });
			found.push(...unlike(`agent ${agentId} in ${month}`, figures, sumOf(part)));
		}
	const fleet = new Map((await api.fleetSavings({ limit: 200 })).items.map((row) => [row.clientId, row]));
	for (const [clientId, own] of groupBy(witnessed, ({ clientId: of }) => of)) {
		const row = fleet.get(clientId);
		if (row === undefined) found.push(`client ${clientId} is in no list of savings`);
		else found.push(...unlike(`client ${clientId} in the list of all`, row, sumOf(own)));
		found.push(...unlike(`client ${clientId}`, await api.showSavings({ client_id: clientId }), sumOf(own)));
		for (const [month, part] of groupBy(own, monthOf))
			found.push(...unlike(`client ${clientId} in ${month}`, await api.showSavings({ client_id: clientId, month }), sumOf(part)));
		const days = new Map((await api.clientSavings({ client_id: clientId, range: 'daily' })).items.map((one) => [one.period, one]));
		for (const [day, part] of groupBy(own, dayOf)) {
			const one = days.get(day);
			if (one !== undefined) found.push(...unlike(`client ${clientId} on ${day}`, one, sumOf(part)));
			else if (sumOf(part).baseline !== 0n) found.push(`client ${clientId} has no figures of ${day}`);
		}
	}
	return found;
};

/** What a recomputation of all machines from their facts would change. */
export const recomputed = async (api: Api): Promise<{ readonly machines: number; readonly differences: string[] }> => {
	const differences: string[] = [];
	let machines = 0;
	for (let cursor: string | null = null; ; ) {
		const page: Awaited<ReturnType<Api['recomputeSavings']>> = await api.recomputeSavings({
			dry_run: true,
			...(cursor === null ? {} : { cursor }),
		});
		machines += page.machines;
		for (const one of page.differences)
			differences.push(
				`a recomputation of ${one.instanceId} makes ${one.costAfter} of ${one.costBefore} USD, baseline ${one.baselineAfter} of ${one.baselineBefore}`,
			);
		cursor = page.next_cursor;
		if (cursor === null) return { machines, differences };
	}
};
