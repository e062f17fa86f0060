import { sql } from 'kysely';
import type { RequestEvent } from '../../src/fleet/fleet.ts';
import type { Db } from '../../src/store/statement.ts';
import {
	type Booked,
	brokenTiles,
	groupBy,
	joined,
	readBooked,
	recomputed,
	type Sum,
	segmentDifferences,
	sumOf,
	viewDifferences,
} from './books-checks.ts';
import { createWeather } from './books-weather.ts';
import { HEARTBEAT_TIMEOUT_MS, openBooksWorld } from './books-world.ts';
import { type Bill, CAUSES, settle } from './ec2-bill.ts';
import { createLedgerWitness, type Silences } from './ledger-witness.ts';
import type { Market } from './market.ts';
import type { Agents } from './spine-world.ts';

/** "Show it" of issue 4: simulated days of a fleet, its books against an independent recomputation, and against its EC2's own bill. */
export type BooksOptions = {
	readonly databaseUrl: string;
	readonly market: Market;
	readonly seed: number;
	readonly agents: Agents;
	/** Simulated days. */
	readonly days: number;
	/** Mean simulated time between two things that happen, milliseconds. */
	readonly gapMs: number;
	/** Real milliseconds after which it gives up. */
	readonly timeLimit?: number;
	readonly onDay?: (day: number) => void;
};

export type BooksResult = {
	readonly violations: readonly string[];
	/** What the witness computed, which the books must equal. */
	readonly sum: Sum;
	readonly bill: Bill;
	readonly weather: Readonly<Record<string, number>>;
	readonly counts: Readonly<Record<string, number>>;
};

export const FULL_BOOKS = { agents: { classic: 5, v32: 2, v4: 2 }, days: 30, gapMs: 2 * 3_600_000 } as const;
export const SHORT_BOOKS = { agents: { classic: 2, v32: 2, v4: 0 }, days: 0.75, gapMs: 20 * 60_000 } as const;

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** How late the daemon's unhurried background work notices a silence. */
const LOOK_MS = 4 * MINUTE;
const BEGIN_MS = 20 * MINUTE;
const OUTAGE_MS = 2 * HOUR;
/** Nothing new happens in the last hours, so that what has begun is in the books when they are compared. */
const CALM_MS = 2 * HOUR;
/** After the last call: the books are read up to it, and nobody who called until then counts as silent yet. */
const READ_MS = 11.5 * MINUTE;

/** Calls that change no role as long as the host is settled; what they change all the same is seen by its trace in the change log. */
const ROUTINE = /\/(heartbeat|config|pending-commands|pricing-report|decide|instances-to-terminate|cleanup-report|replicas\?status=\w+)$/;

/** Changes with everything that changes a role. */
const newestTrace = async (db: Db): Promise<string> => {
	const { rows } = await TRACE.execute(db);
	return `${rows[0]?.changes} ${rows[0]?.events}`;
};

const TRACE = sql<{
	changes: number;
	events: number;
}>`select (select max(id) from change_log) as changes, (select max(id) from event) as events`;

export const runBooks = async (options: BooksOptions): Promise<BooksResult> => {
	const { databaseUrl, market, seed, agents, days, gapMs, timeLimit = 60 * MINUTE } = options;
	const began = performance.now();
	const violations: string[] = [];
	const witness = createLedgerWitness(HEARTBEAT_TIMEOUT_MS, LOOK_MS);
	let [requests, looks] = [0, 0];
	let isDue = false;
	const world = await openBooksWorld({
		...{ databaseUrl, market, seed, agents },
		onRequest: (event: RequestEvent) => {
			requests++;
			if (!ROUTINE.test(event.route)) isDue = true;
			witness.hear(event);
		},
	});
	const { clock, ec2, eyes } = world;
	try {
		let [seen, trace] = ['', ''];
		const look = async (why: 'due' | 'check'): Promise<void> => {
			looks++;
			const changed = await witness.look(eyes.db, clock.now());
			if (why === 'check' && changed > 0) violations.push(`${changed} roles changed within an hour before ${clock.now()} without a trace`);
		};
		clock.onEvent = async () => {
			const state = `${world.transactions()} ${requests}`;
			if (state === seen && !isDue) return;
			seen = state;
			const now = await newestTrace(eyes.db);
			if (now === trace && !isDue) return;
			trace = now;
			isDue = false;
			await look('due');
		};
		// The books begin with the first look of their job: what was reported before that they do not read.
		await clock.runFor(BEGIN_MS);
		for (const { fleet } of world.tenants) fleet.start();
		const weather = createWeather(world, witness, gapMs);
		weather.start();
		const end = market.start + days * DAY;
		const outage = market.start + Math.floor(days * 0.4 * 24) * HOUR + 7 * MINUTE;
		const runTo = async (until: number): Promise<void> => {
			while (clock.now() < until) {
				const day = Math.floor((clock.now() - market.start) / DAY);
				await clock.runUntil(Math.min(until, clock.now() + HOUR));
				await look('check');
				if (Math.floor((clock.now() - market.start) / DAY) > day) options.onDay?.(day + 1);
				if (performance.now() - began > timeLimit) throw new Error(`not done after ${timeLimit / 1_000} s; seed ${seed}`);
			}
		};
		await runTo(outage);
		await world.suspend();
		const noted = await eyes.db.selectFrom('service_clock').select('alive_at').executeTakeFirst();
		await clock.runFor(OUTAGE_MS);
		await world.resume();
		witness.outage(outage, clock.now(), Number(noted?.alive_at ?? 0));
		await runTo(end - CALM_MS);
		weather.stop();
		await runTo(end);
		for (const { fleet } of world.tenants) await fleet.halt();
		await clock.runFor(READ_MS);

		const until = clock.now();
		const booked = await readBooked(eyes.db, until);
		const witnessed = witness.stretches(until, silencesIn(booked));
		violations.push(...brokenTiles(booked), ...segmentDifferences(booked, witnessed), ...(await viewDifferences(world.api, witnessed)));
		const again = await recomputed(world.api);
		violations.push(...again.differences);
		const bill = settle(ec2, market.feed, witnessed, { from: market.start, until, timeoutMs: HEARTBEAT_TIMEOUT_MS });
		violations.push(...outOfBounds(bill));
		violations.push(
			...world
				.troubles()
				.slice(0, 3)
				.map((line) => `the daemon logged ${line.slice(0, 600)}`),
		);
		return {
			violations,
			sum: sumOf(witnessed),
			bill,
			weather: weather.counts,
			counts: {
				requests,
				looks,
				machines: ec2.instances.length,
				segments: booked.length,
				recomputed: again.machines,
				'early timers': clock.stats.stalls,
				seconds: Math.round((performance.now() - began) / 1_000),
			},
		};
	} finally {
		await world.close();
	}
};

/**
 * The difference must lie within what the books say of themselves that they do not know or guess ({@link Bill}). Of what they hold for
 * measured, the time until silence shows may be wrong, and between two reports the price: by a hundredth of the bill at most.
 */
const outOfBounds = (bill: Bill): string[] => {
	const { difference, unknownBound, estimatedBound, deadBound, billed, causes } = bill;
	const found: string[] = [];
	const must = (holds: boolean, text: string): void => {
		if (!holds) found.push(text);
	};
	const of = (...names: (keyof typeof CAUSES)[]): number => names.reduce((sum, name) => sum + (causes.get(name)?.difference ?? 0), 0);
	const added = [...causes.values()].reduce((sum, one) => sum + one.difference, 0);
	must(Math.abs(added - difference) < 1, `the causes add up to ${added}, the difference is ${difference}`);
	must(
		Math.abs(difference) <= unknownBound + estimatedBound,
		`the books are off by ${difference}, and say at most ${unknownBound + estimatedBound}`,
	);
	must(
		Math.abs(of('silence', 'no price yet')) <= unknownBound,
		`unknown time costs ${of('silence', 'no price yet')}, at most ${unknownBound}`,
	);
	must(
		Math.abs(of('price estimated', 'end not confirmed')) <= estimatedBound,
		`estimates are off by ${of('price estimated', 'end not confirmed')}, at most ${estimatedBound}`,
	);
	must(
		Math.abs(of('dead, not yet silent')) <= deadBound,
		`machines that ended without a word are off by ${of('dead, not yet silent')}, at most ${deadBound}`,
	);
	must(Math.abs(of('price lag')) <= billed / 100, `prices between reports are off by ${of('price lag')} of ${billed}`);
	return found;
};

/** When the books let silences begin and end, by machine. */
const silencesIn = (booked: readonly Booked[]): ReadonlyMap<string, Silences> =>
	new Map(
		[...groupBy(booked, ({ handle }) => handle)].map(([handle, own]) => {
			const unknown = joined(own, true).filter(({ quality }) => quality === 'unknown');
			return [handle, { begin: new Set(unknown.map(({ start }) => start)), end: new Set(unknown.map(({ end }) => end)) }];
		}),
	);

const usd = (micros: number): string => (micros / 1_000_000).toFixed(6);

/** The figures of a run as lines of a table, in USD. */
export const booksTable = ({ sum, bill }: BooksResult): string[] => {
	const hours = (ms: number): string => (ms / HOUR).toFixed(2);
	const time = sum.measured + sum.estimated + sum.unknown;
	const share = (ms: number): string => `${((100 * ms) / time).toFixed(2)} %`;
	const line = (name: string, value: string, more = ''): string => `${name.padEnd(26)}${value.padStart(14)}  ${more}`.trimEnd();
	return [
		line('books and witness', 'USD'),
		line('baseline', usd(Number(sum.baseline))),
		line('primary', usd(Number(sum.primary))),
		line('replica', usd(Number(sum.replica))),
		line('overlap', usd(Number(sum.overlap))),
		line('zombie', usd(Number(sum.zombie))),
		line('savings', usd(Number(sum.savings))),
		line('measured', share(sum.measured), `${hours(sum.measured)} machine hours`),
		line('estimated', share(sum.estimated), `${hours(sum.estimated)} machine hours`),
		line('unknown', share(sum.unknown), `${hours(sum.unknown)} machine hours`),
		'',
		line('EC2 bills', usd(bill.billed)),
		line('booked', usd(Number(bill.booked))),
		line('difference', usd(bill.difference), `bound: unknown ${usd(bill.unknownBound)} + estimated ${usd(bill.estimatedBound)}`),
		...[...bill.causes].map(([cause, { difference, machineMs }]) =>
			line(`  ${cause}`, usd(difference), `${hours(machineMs).padStart(9)} h  ${CAUSES[cause]}`),
		),
	];
};
