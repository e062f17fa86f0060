import { setTimeout as delay } from 'node:timers/promises';
import type { MariadbServer } from '../helpers/mariadb.ts';
import { primaries } from './books.ts';
import { bringUp, type FailoverRun, type FailoverRunResult, outcomesOf, settle, stopAll } from './failover-run.ts';
import { type FailoverWorld, openFailoverWorld, replaceTheDead, scaledSettings } from './failover-world.ts';
import type { Agents } from './spine-world.ts';

export type OutageOptions = FailoverRun & {
	readonly server: MariadbServer;
	readonly speed: number;
	/** How long the database is away, real milliseconds. */
	readonly outageMs: number;
	readonly settleMs?: number;
};

export const OUTAGE_AGENTS: Agents = { classic: 30, v32: 0, v4: 6 };
export const SHORT_OUTAGE_AGENTS: Agents = { classic: 10, v32: 0, v4: 2 };

/** Simulated milliseconds in which the notices come, the database going before the last of them. */
const STORM_MS = 30_000;
const SETTLE_MS = 240_000;

/** Notices of every primary, some before the database goes and some while it is away. */
const strike = (world: FailoverWorld, spanMs: number): number => {
	const at = world.random.fork('notices');
	const machines = [...primaries(world.books).values()].map((host) => host.instance_id);
	for (const id of machines) world.clock.schedule(at.between(0, spanMs), () => world.ec2.notice(id, 'termination'), `${id}/notice`);
	return machines.length;
};

/** The database stopped in the middle of a storm of notices and started again: those answered 503 say when to come again, and all ends well. */
export const runOutage = async (options: OutageOptions): Promise<FailoverRunResult> => {
	const { server, seed, speed, outageMs, settleMs = SETTLE_MS } = options;
	const began = performance.now();
	let isAway = false;
	const world = await openFailoverWorld({ ...options, settings: scaledSettings(speed), mustLook: () => !isAway });
	try {
		const { violations, witness } = world;
		await bringUp(world, options, { registerMs: 60_000 / speed + 15_000, readyMs: 240_000 / speed + 15_000, bareEvery: 3, share: 1 });

		const notices = strike(world, STORM_MS);
		await delay((STORM_MS * 0.6) / speed);
		world.phase = `seed ${seed}, without a database`;
		isAway = true;
		const before = { ...witness.counts };
		await server.kill();
		await delay(outageMs);
		await server.restart();
		const during = { unavailable: witness.counts.unavailable - before.unavailable, promoted: witness.counts.promoted - before.promoted };
		isAway = false;
		world.phase = `seed ${seed}, after the outage`;
		world.repeat(1_000, async () => replaceTheDead(world));

		// A notice that was lost shows as silence only later: nothing is over before every machine that had one is gone.
		const areGone = (): boolean => world.terminateCalls.filter(({ reason }) => reason === 'spot interruption').length >= notices;
		const settledMs = await settle(world, { seed, ms: settleMs, after: 'the outage', isOver: areGone });
		if (during.unavailable === 0) violations.push(`${world.phase}: no notice met the outage`);
		violations.push(...(await stopAll(world.daemons)));
		return {
			violations,
			outcomes: outcomesOf(world.books),
			counts: {
				'notices of AWS': notices,
				'answered 503': during.unavailable,
				'promoted while away': during.promoted,
				...world.counts,
				...witness.counts,
				'settled after ms': Math.round(settledMs),
			},
			realMs: performance.now() - began,
		};
	} finally {
		isAway = true;
		await world.close();
	}
};
