import type { Ec2 } from '../../src/fleet/ec2.ts';
import type { Instance } from '../../src/fleet/ec2-types.ts';
import type { PriceFeed } from '../../src/fleet/prices.ts';
import type { Stretch } from './ledger-witness.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Why EC2 bills something else than the books say. */
export const CAUSES = {
	'never seen': 'no agent of the machine ever called, and nobody named it',
	'before the first call': 'from its launch until the daemon first heard of it',
	'not in the books': 'its agent is deleted, or it was reported to have ended and had not',
	silence: 'nobody vouched for it: unknown time',
	'no price yet': 'it was known, and not what it costs: unknown time',
	'price estimated': 'its price moved after the last report of it: estimated time',
	'end not confirmed': 'it had ended, and nobody had said so: estimated time',
	'dead, not yet silent': 'it had ended within the timeout after its last call: measured time',
	'price lag': 'its price moved between two reports: measured time',
	'first hour': 'AWS interrupted it in its first hour, and the books count that from the first call',
	rounding: 'each stretch is rounded to the micro-dollar',
} as const;

export type Cause = keyof typeof CAUSES;

/** Money in micro-dollars. A difference is what EC2 bills beyond the books, so negative where the books hold more. */
export type Bill = {
	readonly billed: number;
	readonly booked: bigint;
	readonly difference: number;
	readonly causes: ReadonlyMap<Cause, { readonly difference: number; readonly machineMs: number }>;
	/**
	 * How far the books may be off by their own word: unknown time may have cost anything up to the type's on-demand price, estimated time
	 * anything from nothing (the machine had ended) to that price. Above it is what they did not know that they did not know.
	 */
	readonly unknownBound: number;
	readonly estimatedBound: number;
	/** Of what they hold for measured: a machine that ended without a word, for the timeout after its last call. */
	readonly deadBound: number;
};

const micros = (usd: number): bigint => BigInt(Math.round(usd * 1_000_000));

type Step = { readonly at: number; readonly price: bigint };

/** The price of a pool over time, micro-dollars an hour: looked up minute by minute, and the second of each change by bisection. */
const stepsOf = (feed: PriceFeed, type: string, az: string, from: number, to: number): Step[] => {
	const priceAt = (at: number): bigint => micros(feed.priceAt(type, az, at) ?? 0);
	const steps: Step[] = [{ at: from, price: priceAt(from) }];
	for (let at = from; at < to; at += MINUTE) {
		let price = priceAt(at + MINUTE);
		if (price === steps.at(-1)?.price) continue;
		let [low, high] = [at, at + MINUTE];
		while (high - low > 1) {
			const middle = Math.floor((low + high) / 2);
			if (priceAt(middle) === steps.at(-1)?.price) low = middle;
			else high = middle;
		}
		price = priceAt(high);
		steps.push({ at: high, price });
	}
	return steps;
};

/** What AWS bills for a machine: from its launch until it shuts down; nothing when AWS interrupted it within its first hour. */
const isFree = (ec2: Ec2, { id, launchedAt, mode, shutdownAt }: Instance): boolean =>
	mode === 'spot' &&
	shutdownAt !== null &&
	shutdownAt - launchedAt < HOUR &&
	ec2.ledger.some(
		(line) => line.kind === 'terminate' && line.instanceId === id && line.by.kind === 'aws' && line.reason === 'spot interruption',
	);

/**
 * Sets the stretches of the books against the bill of the fleet's own EC2, machine by machine and price by price, and names the cause of
 * every difference. The causes add up to the difference. `from` and `until` are UTC milliseconds, `timeoutMs` is how long a machine that does
 * not call is vouched for.
 */
export const settle = (
	ec2: Ec2,
	feed: PriceFeed,
	stretches: readonly Stretch[],
	{ from, until, timeoutMs }: { readonly from: number; readonly until: number; readonly timeoutMs: number },
): Bill => {
	/** Micro-dollars an hour times milliseconds: exact. */
	const sums = new Map<Cause, { exact: bigint; machineMs: number }>();
	const add = (cause: Cause, exact: bigint, ms: number): void => {
		if (exact === 0n) return;
		const sum = sums.get(cause) ?? { exact: 0n, machineMs: 0 };
		sums.set(cause, { exact: sum.exact + exact, machineMs: sum.machineMs + ms });
	};
	const byMachine = new Map<string, Stretch[]>();
	for (const stretch of stretches) byMachine.set(stretch.instanceId, [...(byMachine.get(stretch.instanceId) ?? []), stretch]);
	const pools = new Map<string, Step[]>();
	const priceSteps = ({ instanceType, az, mode }: Instance): Step[] => {
		if (mode === 'ondemand') return [{ at: from, price: micros(feed.onDemand(instanceType) ?? 0) }];
		const pool = `${instanceType}.${az}`;
		const steps = pools.get(pool) ?? stepsOf(feed, instanceType, az, from, until);
		pools.set(pool, steps);
		return steps;
	};
	let [billed, booked, exactlyBooked, unknown, estimated, dead] = [0n, 0n, 0n, 0n, 0n, 0n];
	for (const machine of ec2.instances) {
		const own = (byMachine.get(machine.id) ?? []).sort((a, b) => a.start - b.start);
		const [first] = own;
		const end = Math.min(machine.shutdownAt ?? until, until);
		const free = isFree(ec2, machine);
		const steps = priceSteps(machine);
		const most = micros(feed.onDemand(machine.instanceType) ?? 0);
		const edges = [machine.launchedAt, end, ...steps.map(({ at }) => at), ...own.flatMap((one) => [one.start, one.end])];
		const last = Math.max(end, own.at(-1)?.end ?? end);
		const cuts = [...new Set(edges)].filter((at) => at >= machine.launchedAt && at <= last).sort((a, b) => a - b);
		let [step, position] = [0, 0];
		for (const [index, start] of cuts.slice(0, -1).entries()) {
			const stop = cuts[index + 1] ?? start;
			const ms = BigInt(stop - start);
			while ((steps[step + 1]?.at ?? Infinity) <= start) step++;
			while ((own[position]?.end ?? Infinity) <= start) position++;
			const here = own[position];
			const stretch = here !== undefined && here.start <= start ? here : undefined;
			const runs = start < end;
			const due = runs && !free ? (steps[step]?.price ?? 0n) * ms : 0n;
			const isBooked = stretch !== undefined && stretch.quality !== 'unknown';
			const rate = isBooked ? BigInt(stretch.price ?? 0) * ms : 0n;
			billed += due;
			exactlyBooked += rate;
			if (stretch?.quality === 'unknown') unknown += most * ms;
			if (stretch?.quality === 'estimated') estimated += rate > most * ms - rate ? rate : most * ms - rate;
			const cause = ((): Cause => {
				if (first === undefined) return 'never seen';
				if (stretch === undefined) return start < first.start ? 'before the first call' : 'not in the books';
				if (!isBooked) return stretch.why === 'silent' ? 'silence' : 'no price yet';
				if (!runs)
					return stretch.quality === 'estimated'
						? 'end not confirmed'
						: stretch.why === 'first hour'
							? 'first hour'
							: 'dead, not yet silent';
				if (free || stretch.why === 'first hour') return 'first hour';
				return stretch.quality === 'estimated' ? 'price estimated' : 'price lag';
			})();
			add(cause, due - rate, stop - start);
		}
		for (const { cost } of own) booked += cost;
		if (machine.shutdownAt !== null) dead += most * BigInt(timeoutMs);
	}
	const hours = (exact: bigint): number => Number(exact) / HOUR;
	add('rounding', exactlyBooked - booked * BigInt(HOUR), 0);
	return {
		billed: hours(billed),
		booked,
		difference: hours(billed - booked * BigInt(HOUR)),
		causes: new Map(
			(Object.keys(CAUSES) as Cause[]).flatMap((cause) => {
				const sum = sums.get(cause);
				return sum === undefined ? [] : [[cause, { difference: hours(sum.exact), machineMs: sum.machineMs }]];
			}),
		),
		unknownBound: hours(unknown),
		estimatedBound: hours(estimated),
		deadBound: hours(dead),
	};
};
