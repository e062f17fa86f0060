import { setTimeout as delay } from 'node:timers/promises';
import type { Faults } from '../../src/fleet/faults.ts';
import type { Random } from '../../src/fleet/random.ts';
import { waitExactly } from './crash-kills.ts';
import { createWeather } from './failover-operator.ts';
import { bringUp, type FailoverRun, type FailoverRunResult, outcomesOf, settle, stopAll, tally } from './failover-run.ts';
import { NOTICE_TARGETS, type NoticeTarget, openFailoverWorld, replaceTheDead, scaledSettings } from './failover-world.ts';
import type { Agents } from './spine-world.ts';

/** When a daemon dies. */
export type NoticeMoment =
	| { readonly kind: 'startup'; readonly afterMs: number }
	| { readonly kind: 'time'; readonly afterMs: number }
	| { readonly kind: 'aimed'; readonly at: NoticeTarget; readonly afterMs: number };

/** One daemon on SQLite. */
export type StormOptions = FailoverRun & {
	readonly kills: number;
	readonly speed?: number;
	/** Real milliseconds after which it kills no more. */
	readonly timeLimit?: number;
	/** Real milliseconds in which everything must have ended after the last kill. */
	readonly settleMs?: number;
	readonly onKill?: (kill: number, moment: NoticeMoment) => void;
};

export type StormResult = FailoverRunResult & {
	/** Replicas by end. */
	readonly replicas: Readonly<Record<string, number>>;
	/** What happened to the fleet. */
	readonly weather: Readonly<Record<string, number>>;
};

export const STORM_AGENTS: Agents = { classic: 40, v32: 0, v4: 4 };
export const SHORT_STORM_AGENTS: Agents = { classic: 9, v32: 0, v4: 1 };

/** How long to wait for a request of the kind that is aimed at. */
const AIM_MS = 1_200;
const WEATHER_MS = 250;
const REPLACE_MS = 1_000;
const LAUNCH_FAILURE = 0.06;
/** Rebalance signals of one minute, orders that were lost with their answers, machines that boot: all over by then. */
const SETTLE_MS = 150_000;

const drawMoment = (random: Random): NoticeMoment => {
	if (random.chance(0.1)) return { kind: 'startup', afterMs: random.between(0, 500) };
	if (random.chance(0.4)) return { kind: 'time', afterMs: random.between(20, 1_500) };
	const at = NOTICE_TARGETS[random.between(0, NOTICE_TARGETS.length - 1)] ?? 'notice';
	// A request takes one to ten milliseconds: before, during and after its commit, before and after its answer.
	return { kind: 'aimed', at, afterMs: random.between(0, 80) / 10 };
};

/** Daemons killed with -9 again and again under a storm of notices: every emergency reaches a named end, every invariant holds. */
export const runStorm = async (options: StormOptions): Promise<StormResult> => {
	const { seed, kills, speed = 30, timeLimit = Infinity, settleMs = SETTLE_MS, onKill } = options;
	const began = performance.now();
	// A refused launch costs a manual replica half a minute: not before the storm.
	const faults: Partial<Faults> = { diesBeforeReport: 0.5, saysOfflineOnTermination: 0.3, crashEveryMs: 3_600_000 };
	const world = await openFailoverWorld({ ...options, speed, settings: scaledSettings(speed), faults });
	try {
		const { aim, violations, daemons, ec2, fleet } = world;
		const random = world.random.fork('kills');
		await bringUp(world, options, { registerMs: 30_000, readyMs: 30_000, bareEvery: 4, share: 0.8 });

		faults.launchFailure = LAUNCH_FAILURE;
		for (const host of fleet.hosts()) host.faults.launchFailure = LAUNCH_FAILURE;
		const weather = createWeather(world);
		world.repeat(WEATHER_MS, weather.turn);
		world.repeat(REPLACE_MS, async () => replaceTheDead(world));

		let killed = 0;
		let aimed = 0;
		let starting = 0;
		let both = 0;
		let torn = 0;
		const note = (moment: NoticeMoment): void => {
			killed++;
			world.phase = `seed ${seed}, after kill ${killed} (${moment.kind === 'aimed' ? `aimed at ${moment.at}` : moment.kind} + ${moment.afterMs} ms)`;
			onKill?.(killed, moment);
		};
		while (killed < kills && performance.now() - began < timeLimit) {
			// One daemon alone gets time to do something between two lives.
			if (daemons.length === 1) await delay(random.between(200, 900));
			const moment = drawMoment(random);
			if (moment.kind !== 'aimed') await delay(moment.afterMs);
			else if (await aim.sighted(moment.at, AIM_MS)) {
				aimed++;
				await waitExactly(moment.afterMs);
			}
			const victim = daemons[random.between(0, daemons.length - 1)];
			if (victim === undefined) throw new Error('no daemon');
			torn += aim.flying;
			await victim.kill();
			note(moment);
			world.alright();
			// Now and then nobody is left for a while.
			const started = new Set([victim]);
			const other = daemons.find((daemon) => daemon !== victim);
			if (other !== undefined && killed < kills && random.chance(0.1)) {
				await delay(random.between(0, 300));
				await other.kill();
				note({ kind: 'time', afterMs: 0 });
				both++;
				other.launch();
				started.add(other);
			}
			if (daemons.length === 1) await aim.drained();
			await world.look();
			victim.launch();
			// The next life ends before it serves now and then.
			const next = killed < kills ? drawMoment(random) : null;
			if (next?.kind === 'startup') {
				await delay(next.afterMs);
				await victim.kill();
				note(next);
				starting++;
				victim.launch();
			}
			for (const daemon of started) await daemon.ready();
		}

		weather.clear();
		const settledMs = await settle(world, { seed, ms: settleMs, after: 'the last kill' });
		const { books } = world;
		violations.push(...weather.refusals.slice(0, 5));
		violations.push(...(await stopAll(daemons)), ...daemons.flatMap((daemon) => daemon.troubles().slice(0, 5)));
		return {
			violations,
			outcomes: outcomesOf(books),
			replicas: tally(books.replicas.map(({ status }) => status)),
			weather: weather.counts,
			counts: {
				kills: killed,
				'aimed and hit': aimed,
				'while starting': starting,
				'both at once': both,
				'torn by kills': torn,
				...world.counts,
				...world.witness.counts,
				machines: books.hosts.length,
				launches: ec2.ledger.filter(({ kind, by }) => kind === 'launch' && by.kind === 'agent').length,
				'no capacity': ec2.ledger.filter(({ kind }) => kind === 'refused').length,
				'settled after ms': Math.round(settledMs),
			},
			realMs: performance.now() - began,
		};
	} finally {
		await world.close();
	}
};
