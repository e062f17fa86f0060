import { setTimeout as delay } from 'node:timers/promises';
import type { MariadbServer } from '../helpers/mariadb.ts';
import { primaries } from './books.ts';
import { failoverAccounts, unsettledFailover } from './failover-checks.ts';
import {
	explain,
	explainAgent,
	type FailoverWorld,
	keepReplica,
	openFailoverWorld,
	readyReplicas,
	replaceTheDead,
	scaledSettings,
	until,
} from './failover-world.ts';
import type { Market } from './market.ts';
import type { Agents } from './spine-world.ts';

export type OutageOptions = {
	readonly server: MariadbServer;
	readonly databaseUrl: string;
	readonly market: Market;
	readonly seed: number;
	readonly agents: Agents;
	readonly daemons: number;
	readonly speed: number;
	/** How long the database is away, real milliseconds. */
	readonly outageMs: number;
	readonly settleMs?: number;
};

export type OutageResult = {
	readonly violations: readonly string[];
	readonly outcomes: Readonly<Record<string, number>>;
	readonly counts: Readonly<Record<string, number>>;
	readonly realMs: number;
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
export const runOutage = async (options: OutageOptions): Promise<OutageResult> => {
	const { server, databaseUrl, market, seed, agents, speed, outageMs, settleMs = SETTLE_MS } = options;
	const began = performance.now();
	let isAway = false;
	const world = await openFailoverWorld({
		databaseUrl,
		market,
		seed,
		agents,
		daemons: options.daemons,
		speed,
		settings: scaledSettings(speed),
		mustLook: () => !isAway,
	});
	try {
		const { violations, ec2, fleet, witness } = world;
		const total = agents.classic + agents.v32 + agents.v4;
		if (!(await until(world, 60_000 / speed + 15_000, () => world.books.agents.length === total)))
			throw new Error(`seed ${seed}: not every agent registered`);
		const kept = world.books.agents.filter(({ logical_agent_id: name }, index) => name.startsWith('classic-') && index % 3 !== 2);
		for (const { id } of kept) await keepReplica(world, id);
		if (!(await until(world, 240_000 / speed + 15_000, () => readyReplicas(world).size === kept.length)))
			throw new Error(`seed ${seed}: ${readyReplicas(world).size} of ${kept.length} replicas got ready`);

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

		const settling = performance.now();
		const left = (): string[] => unsettledFailover({ ...world, ec2, fleet }, world.books, Date.now());
		// A notice that was lost shows as silence only later: nothing is over before every machine that had one is gone.
		const areGone = (): boolean => world.terminateCalls.filter(({ reason }) => reason === 'spot interruption').length >= notices;
		const settled = await until(world, settleMs, () => areGone() && left().length === 0);
		const settledMs = performance.now() - settling;
		world.phase = `seed ${seed}, at the end`;
		await world.quiet();
		await world.look();
		world.alright();
		const { books } = world;
		if (!settled)
			violations.push(
				...left().map((text) => `${world.phase}: ${text} ${settleMs / 1_000} s after the outage${explainAgent(world, text)}`),
			);
		if (during.unavailable === 0) violations.push(`${world.phase}: no notice met the outage`);
		for (const text of failoverAccounts({ ...world, ec2, fleet }, books))
			violations.push(`${world.phase}: ${text}${await explain(world.eyes, text)}`);
		violations.push(...(await witness.missing(books, world.eyes.db)).map((text) => `${world.phase}: ${text}`));
		for (const daemon of world.daemons) {
			const code = await daemon.stop();
			if (code !== 0) violations.push(`a daemon ended with ${code} after SIGTERM`);
		}
		const outcomes: Record<string, number> = {};
		for (const { kind, outcome } of books.emergencies) outcomes[`${kind}/${outcome}`] = (outcomes[`${kind}/${outcome}`] ?? 0) + 1;
		return {
			violations,
			outcomes,
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
