import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Output } from '../../src/contract/index.ts';
import { primaries } from './books.ts';
import { type FailoverRun, type FailoverRunResult, settle, stopAll } from './failover-run.ts';
import { type Stage, stagesOf } from './failover-stages.ts';
import {
	type FailoverWorld,
	keepReplica,
	openFailoverWorld,
	readyReplicas,
	replaceTheDead,
	scaledSettings,
	until,
} from './failover-world.ts';

type Emergency = Output<'listEmergencies'>['items'][number];

/** How many agents get what. */
export type ShowSize = {
	/** A termination notice with a ready replica. */
	readonly ready: number;
	/** A termination notice without one. */
	readonly cold: number;
	/** As many of the cold ones are refused their first launch. */
	readonly refused: number;
	/** A rebalance recommendation. */
	readonly rebalance: number;
};

/** Two daemons, of which the second is killed; one on SQLite. */
export type ShowOptions = Omit<FailoverRun, 'agents'> & {
	readonly size: ShowSize;
	readonly speed: number;
	/** A classic agent's rebalance signal counts as over after so many seconds (60 or more; the product's default is two hours). */
	readonly clearSeconds: number;
	readonly say?: (text: string) => void;
};

/** The outcomes are those of emergencies by group, kind and end. */
export type ShowResult = FailoverRunResult & {
	readonly stages: readonly Stage[];
	/** What `emergencies list -o json` printed. */
	readonly emergencies: readonly Emergency[];
};

export const FULL_SHOW: ShowSize = { ready: 100, cold: 50, refused: 20, rebalance: 50 };
export const SHORT_SHOW: ShowSize = { ready: 8, cold: 6, refused: 3, rebalance: 0 };

/** Simulated milliseconds in which all notices come. */
const STORM_MS = 20_000;
const CLI = join(import.meta.dirname, '../../dist/bin/spotctl.js');

type Group = 'ready replica' | 'cold' | 'cold, refused once' | 'rebalance';

const groupOf = (size: ShowSize, index: number): Group => {
	if (index < size.ready) return 'ready replica';
	if (index < size.ready + size.refused) return 'cold, refused once';
	return index < size.ready + size.cold ? 'cold' : 'rebalance';
};

const indexOf = (logicalId: string): number => Number(logicalId.split('-')[1]) - 1;

/** Every first launch of these machines is refused for want of capacity. */
const refuseOnce = (world: FailoverWorld, machines: readonly string[]): void => {
	for (const id of machines) {
		const host = world.fleet.host(id);
		if (host !== undefined) host.faults.launchFailure = 1;
	}
	let looked = world.ec2.ledger.length;
	world.repeat(20, async () => {
		for (const { kind, by } of world.ec2.ledger.slice(looked)) {
			const host = kind === 'refused' && by.instanceId !== null ? world.fleet.host(by.instanceId) : undefined;
			if (host !== undefined) host.faults.launchFailure = 0;
		}
		looked = world.ec2.ledger.length;
	});
};

/** The command of the issue, run as an operator runs it. */
const listEmergencies = async ({ url, adminToken }: FailoverWorld['daemons'][number]): Promise<Emergency[]> => {
	const { stdout } = await promisify(execFile)(process.execPath, [CLI, 'emergencies', 'list', '--all', '-o', 'json'], {
		env: { PATH: process.env['PATH'], HOME: '/nonexistent', SPOTCTL_SERVER: url, SPOTCTL_TOKEN: adminToken },
		maxBuffer: 64 * 1024 * 1024,
	});
	return JSON.parse(stdout) as Emergency[];
};

/** "Show it" of the issue: a fleet hit by every kind of signal at once, one of two daemons killed in the middle, and everything ends well. */
export const runShow = async (options: ShowOptions): Promise<ShowResult> => {
	const { databaseUrl, market, seed, size, speed, clearSeconds, say = () => undefined } = options;
	const began = performance.now();
	const total = size.ready + size.cold + size.rebalance;
	const real = (seconds: number): number => (seconds * 1_000) / speed;
	const world = await openFailoverWorld({
		databaseUrl,
		market,
		seed,
		agents: { classic: total, v32: 0, v4: 0 },
		daemons: options.daemons,
		speed,
		settings: { ...scaledSettings(speed), SPOTCTL_FAILOVER_RETIRE_SINGLE: `${Math.max(60, clearSeconds)}s` },
	});
	try {
		const { ec2, violations } = world;
		const must = async (what: string, seconds: number, isDone: () => boolean): Promise<void> => {
			if (!(await until(world, real(seconds) + 15_000, isDone))) throw new Error(`seed ${seed}: ${what} within ${seconds} s`);
		};
		await must('not every agent registered', 60, () => world.books.agents.length === total);
		const idOf = new Map(world.books.agents.map((agent) => [indexOf(agent.logical_agent_id), agent.id]));
		const machineOf = new Map([...primaries(world.books)].map(([agentId, host]) => [agentId, host.instance_id]));
		const machine = (index: number): string => machineOf.get(idOf.get(index) ?? '') ?? '';
		const members = (group: Group): number[] =>
			Array.from({ length: total }, (_, index) => index).filter((index) => groupOf(size, index) === group);

		say(`${total} agents registered; bringing up ${size.ready} replicas`);
		for (const index of members('ready replica')) await keepReplica(world, idOf.get(index) ?? '');
		await must('not every replica got ready', 240, () => readyReplicas(world).size === size.ready);
		// Its agent comes up after the machine: a replica nobody has heard of is no witness of anything.
		await must(
			'not every replica registered',
			90,
			() => world.books.hosts.filter((host) => host.role === 'replica' && host.registered_at !== null).length === size.ready,
		);

		say('the signals come, and a daemon goes');
		world.phase = `seed ${seed}, in the storm`;
		refuseOnce(world, members('cold, refused once').map(machine));
		const at = world.random.fork('notices');
		const stormAt = world.clock.now();
		for (let index = 0; index < total; index++) {
			const kind = groupOf(size, index) === 'rebalance' ? 'rebalance' : 'termination';
			const id = machine(index);
			world.clock.schedule(at.between(0, STORM_MS), () => ec2.notice(id, kind), `${id}/notice`);
		}
		const second = world.daemons[1];
		let killed: readonly [from: number, to: number] | null = null;
		if (second !== undefined) {
			await delay(real(STORM_MS / 2_000));
			// A request may have been under way for a second.
			const from = world.clock.now() - 1_000 * speed;
			await second.kill();
			killed = [from, world.clock.now()];
			world.phase = `seed ${seed}, after the kill`;
		}
		const diedWithIt = (agentId: string, calls: ReadonlyMap<string, number>): boolean => {
			const sent = calls.get(machineOf.get(agentId) ?? '');
			return killed !== null && sent !== undefined && killed[0] <= sent && sent <= killed[1];
		};
		// The killed daemon had its notice and nobody else knows of it: an auto scaling group brings a machine back.
		const isLost = (agentId: string): boolean =>
			diedWithIt(agentId, world.witness.unanswered) && !world.books.emergencies.some(({ agent_id }) => agent_id === agentId);
		// The killed daemon was asked for its order, or told what became of the launch: at this speed the machine is gone before the order overruns
		// (45 s are five, where two minutes are four), so nobody is left to fetch another.
		const isStranded = (agentId: string): boolean =>
			diedWithIt(agentId, world.witness.unheard) &&
			world.books.emergencies.some(
				({ agent_id, open_of, step, kind }) => agent_id === agentId && open_of !== null && step === 'launch' && kind === 'termination',
			);
		const replaced = new Set<string>();
		const needsMachine = (agentId: string): boolean => {
			if (!isLost(agentId) && !isStranded(agentId)) return false;
			replaced.add(agentId);
			return true;
		};
		world.repeat(1_000, async () => replaceTheDead(world, needsMachine));
		const isToldOfAll = (): boolean => world.books.emergencies.length + [...machineOf.keys()].filter(isLost).length >= total;
		const settleMs = real(600) + (size.rebalance > 0 ? clearSeconds * 1_000 : 0) + 30_000;
		await settle(world, { seed, ms: settleMs, after: 'the signals', isOver: isToldOfAll });
		if (!isToldOfAll()) violations.push(`${world.phase}: ${world.books.emergencies.length} emergencies of ${total} signals`);

		const [first] = world.daemons;
		if (first === undefined) throw new Error('no daemon');
		const emergencies = await listEmergencies(first);
		if (emergencies.length !== world.books.emergencies.length)
			violations.push(`the command lists ${emergencies.length} emergencies of ${world.books.emergencies.length}`);
		const labelled = ({ logical_agent_id, kind }: Emergency): string => {
			const group = groupOf(size, indexOf(logical_agent_id));
			return kind === (group === 'rebalance' ? 'rebalance' : 'termination') ? group : `${group}, ${kind}`;
		};
		const outcomes: Record<string, number> = {};
		for (const emergency of emergencies) {
			const key = `${labelled(emergency)}: ${emergency.state}`;
			outcomes[key] = (outcomes[key] ?? 0) + 1;
			const wanted = groupOf(size, indexOf(emergency.logical_agent_id)) === 'rebalance' ? 'stood-by' : 'failed-over';
			const byAnother = emergency.state === 'overtaken' && replaced.has(emergency.agent_id);
			if (emergency.state !== wanted && !byAnother)
				violations.push(`${emergency.logical_agent_id} (${labelled(emergency)}) ended as ${emergency.state}: ${emergency.message}`);
		}
		for (const daemon of world.daemons) violations.push(...daemon.troubles().slice(0, 5));
		violations.push(...(await stopAll([first])));
		return {
			violations,
			outcomes,
			emergencies,
			stages: stagesOf(emergencies, labelled),
			counts: {
				...world.counts,
				...world.witness.counts,
				'launches of agents': ec2.ledger.filter(({ kind, by }) => kind === 'launch' && by.kind === 'agent').length,
				'no capacity': ec2.ledger.filter(({ kind }) => kind === 'refused').length,
				'storm of the fleet, s': Math.round((world.clock.now() - stormAt) / 1_000),
			},
			realMs: performance.now() - began,
		};
	} finally {
		await world.close();
	}
};
