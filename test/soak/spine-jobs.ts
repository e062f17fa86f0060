import { SpotError } from '../../src/errors.ts';
import { AWS, type LedgerEntry } from '../../src/fleet/ec2-types.ts';
import type { Host } from '../../src/fleet/host.ts';
import type { Random } from '../../src/fleet/random.ts';
import { type Books, type HostBook, openCommands, primaries, readBooks } from './books.ts';
import { KEEPER, type SpineWorld } from './spine-world.ts';

/** What the operator has done and what must come of it. */
export type JobKind = 'terminating' | 'keeping' | 'no capacity' | 'dying';

export type Jobs = { readonly [K in JobKind]: number };

/** One forced switch. */
export type Job = {
	readonly kind: JobKind;
	readonly commandId: string;
	readonly agentId: string;
	readonly logicalId: string;
	/** The machine that was the primary, and that got the order. */
	readonly oldId: string;
	readonly pool: string | null;
	readonly at: number;
	/** The machine it launched. */
	newId: string | null;
};

export type Operator = {
	readonly jobs: readonly Job[];
	/** Starts the jobs one after the other, on the simulated clock. */
	start(): void;
	/** Looks at what happened: launches, ends; returns what should not have been. */
	look(books: Books): string[];
	/** True when every job was started and has ended. */
	readonly isDone: boolean;
	readonly refusals: number;
};

/** Between two forced switches, simulated milliseconds. */
const GAP_MS = 15_000;
/** The first one waits until every agent is known, and v4 hosts are known not to poll. */
const FIRST_MS = 180_000;
/** A primary is left alone for this long after it registered, so that its prices are known. */
const FRESH_MS = 30_000;

const shuffled = <T>(items: readonly T[], random: Random): T[] => {
	const left = [...items];
	const result: T[] = [];
	while (left.length > 0) result.push(...left.splice(random.between(0, left.length - 1), 1));
	return result;
};

/** Agents by what they do: classic ones whose number ends in 3, 6 or 9 have auto-terminate off. */
export const keepsBySetting = (logicalId: string): boolean => /^classic-\d*[369]$/.test(logicalId);
const isClassic = (logicalId: string): boolean => logicalId.startsWith('classic-');
const keepsByImage = (logicalId: string): boolean => logicalId.startsWith(KEEPER);
const isV4 = (logicalId: string): boolean => logicalId.startsWith('v4-');

const suits = (kind: JobKind, logicalId: string): boolean => {
	if (isV4(logicalId)) return false;
	const keeps = keepsBySetting(logicalId) || keepsByImage(logicalId);
	if (kind === 'terminating') return !keeps;
	if (kind === 'keeping') return keeps || isClassic(logicalId);
	return true;
};

export const createOperator = (world: SpineWorld, wanted: Jobs): Operator => {
	const { clock, ec2, api, clientId, eyes } = world;
	const random = world.random.fork('operator');
	const kinds: JobKind[] = ['terminating', 'keeping', 'no capacity', 'dying'];
	const queue = shuffled(
		kinds.flatMap((kind) => Array.from({ length: wanted[kind] }, () => kind)),
		random,
	);
	const jobs: Job[] = [];
	/** Pools without capacity, with the command that must fail for it. */
	const full = new Map<string, string>();
	const doomed = new Set<string>();
	let violations: string[] = [];
	let looked = 0;
	let refusals = 0;
	let open = 0;
	let latest: Books = { agents: [], hosts: [], commands: [] };

	const hostOf = (instanceId: string): Host | undefined =>
		world.fleets.map((fleet) => fleet.host(instanceId)).find((host) => host !== undefined);

	const candidates = (kind: JobKind): HostBook[] => {
		const main = primaries(latest);
		const busy = new Set(openCommands(latest).map((command) => command.agent_id));
		// By name, so that a seed means the same on either database.
		const agents = [...latest.agents].sort((one, other) => (one.logical_agent_id < other.logical_agent_id ? -1 : 1));
		return agents.flatMap((agent) => {
			const host = main.get(agent.id);
			if (host === undefined || agent.status !== 'online' || busy.has(agent.id) || !suits(kind, agent.logical_agent_id)) return [];
			if (host.registered_at === null || clock.now() - host.registered_at < FRESH_MS || host.mode === null) return [];
			return hostOf(host.instance_id)?.agent?.isRunning === true ? [host] : [];
		});
	};

	const targetOf = (host: HostBook, kind: JobKind): string | null | undefined => {
		if (kind !== 'no capacity' && host.mode === 'spot' && random.chance(0.2)) return null;
		const taken = new Set([...full.keys(), ...openCommands(latest).map((command) => command.target_pool_id)]);
		const pools = world.fleets[0]?.prices.pools(host.instance_type ?? '', clock.now()) ?? [];
		const free = pools.filter(
			({ poolId }) => poolId !== host.pool_id && !full.has(poolId) && (kind !== 'no capacity' || !taken.has(poolId)),
		);
		return free[random.between(0, free.length - 1)]?.poolId;
	};

	const force = async (kind: JobKind): Promise<boolean> => {
		const hosts = candidates(kind);
		const host = hosts[random.between(0, hosts.length - 1)];
		if (host === undefined) return false;
		const logicalId = latest.agents.find((agent) => agent.id === host.agent_id)?.logical_agent_id ?? '';
		const pool = targetOf(host, kind);
		if (pool === undefined) return false;
		// A dying classic host keeps or ends its old machine by turns: it dies before either.
		const keeps = kind === 'keeping' || (kind === 'dying' && random.chance(0.5));
		const byFlag = keeps && !keepsBySetting(logicalId) ? { auto_terminate: false } : {};
		const order = {
			instance_id: host.instance_id,
			client_id: clientId,
			...(pool === null ? { target: 'ondemand' } : { target: 'pool', pool_id: pool }),
			...byFlag,
		};
		if (random.chance(0.25)) {
			const trial = await api.forceSwitch({ ...order, dry_run: true });
			if (trial.command_id !== null) violations.push(`a dry run of ${host.instance_id} queued ${trial.command_id}`);
		}
		const { command_id: commandId } = await api.forceSwitch(order);
		if (commandId === null) throw new Error('the forced switch has no command');
		if (kind === 'no capacity' && pool !== null) {
			full.set(pool, commandId);
			ec2.setCapacity(pool, false);
		}
		if (kind === 'dying') doomed.add(host.instance_id);
		jobs.push({ kind, commandId, agentId: host.agent_id, logicalId, oldId: host.instance_id, pool, at: clock.now(), newId: null });
		return true;
	};

	const refuseV4 = async (): Promise<void> => {
		for (const [agentId, host] of primaries(latest)) {
			if (!isV4(latest.agents.find((agent) => agent.id === agentId)?.logical_agent_id ?? '')) continue;
			const pool = world.fleets[0]?.prices.pools(host.instance_type ?? '', clock.now()).find(({ poolId }) => poolId !== host.pool_id);
			const code = await api
				.forceSwitch({ instance_id: host.instance_id, client_id: clientId, target: 'pool', pool_id: pool?.poolId ?? '' })
				.then(() => 'accepted')
				.catch((error: unknown) => (error instanceof SpotError ? error.code : String(error)));
			if (code === 'AGENT_NEVER_POLLS') refusals++;
			else violations.push(`a forced switch of the v4-only ${host.instance_id} was answered ${code}`);
		}
	};

	const turn = async (): Promise<void> => {
		const [kind] = queue;
		if (kind === undefined) return;
		latest = await readBooks(eyes.db);
		if (await force(kind)) queue.shift();
		else queue.push(...queue.splice(0, 1));
		clock.schedule(GAP_MS, turn, 'operator');
	};

	const begin = async (): Promise<void> => {
		latest = await readBooks(eyes.db);
		for (const { id, logical_agent_id } of latest.agents)
			if (keepsBySetting(logical_agent_id)) await api.changeConfig({ agent_id: id, auto_terminate_enabled: false });
		await refuseV4();
		await turn();
	};

	const launched = (entry: LedgerEntry): void => {
		if (entry.kind !== 'launch' || entry.by.kind !== 'agent' || entry.by.instanceId === null) return;
		const job = [...jobs].reverse().find(({ oldId }) => oldId === entry.by.instanceId);
		if (job === undefined || job.newId !== null) {
			violations.push(`${entry.by.instanceId} launched ${entry.instanceId} and had no order for it`);
			return;
		}
		job.newId = entry.instanceId;
		if (!doomed.delete(job.oldId)) return;
		// Before it can report: a machine takes at least 15 s to run, and is looked at every 10 s.
		const { oldId } = job;
		clock.schedule(random.between(3_000, 12_000), () => void ec2.terminate(oldId, AWS, 'hardware failure'), 'hardware failure');
	};

	return {
		jobs,
		start: () => void clock.schedule(FIRST_MS, begin, 'operator'),
		look: (books) => {
			for (const entry of ec2.ledger.slice(looked)) launched(entry);
			looked = ec2.ledger.length;
			const running = new Set(openCommands(books).map((command) => command.id));
			open = running.size;
			for (const [pool, commandId] of full) {
				if (running.has(commandId)) continue;
				full.delete(pool);
				ec2.setCapacity(pool, true);
			}
			const found = violations;
			violations = [];
			return found;
		},
		get isDone() {
			return queue.length === 0 && open === 0;
		},
		get refusals() {
			return refusals;
		},
	};
};
