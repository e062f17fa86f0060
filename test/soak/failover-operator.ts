import { SpotError } from '../../src/errors.ts';
import { AWS } from '../../src/fleet/ec2-types.ts';
import { openCommands, primaries } from './books.ts';
import type { FailoverWorld } from './failover-world.ts';

/** AWS and an operator at once: notices, machines that break, capacity that goes, promotions and switches by hand. */
export type Weather = {
	/** One step: something happens to a few agents. */
	turn(): Promise<void>;
	/** From now on only what ends: every open rebalance signal is followed by the termination it announced. */
	clear(): void;
	readonly counts: Record<string, number>;
	/** Answers that nobody should get. */
	readonly refusals: readonly string[];
};

/** What an operator may be told when somebody was faster. */
const USUAL = new Set([
	'ALREADY_PROMOTED',
	'ALREADY_THERE',
	'CONFLICT',
	'ILLEGAL_TRANSITION',
	'NOT_FOUND',
	'NOT_PRIMARY',
	'REPLICA_ENDED',
	'REPLICA_NOT_READY',
	'REPLICA_PROMOTED',
	'REPLICA_TERMINATED',
	'SWITCH_OPEN',
]);

/** A pool is without capacity for so long, simulated. */
const SHORTAGE_MS = 60_000;

export const createWeather = (world: FailoverWorld): Weather => {
	const random = world.random.fork('weather');
	const counts: Record<string, number> = {};
	const refusals: string[] = [];
	const noticed = new Set<string>();
	const count = (what: string): void => {
		counts[what] = (counts[what] ?? 0) + 1;
	};

	const asked = async (what: string, call: Parameters<typeof world.ask>[0]): Promise<void> => {
		try {
			count((await world.ask(call)) === null ? `${what} unanswered` : what);
		} catch (error) {
			if (!(error instanceof SpotError)) throw error;
			if (USUAL.has(error.code)) count(`${what} refused`);
			else refusals.push(`${what} was answered ${error.code}: ${error.message}`);
		}
	};

	const notify = (instanceId: string, kind: 'termination' | 'rebalance', what: string): void => {
		count(what);
		if (kind === 'termination') noticed.add(instanceId);
		world.ec2.notice(instanceId, kind);
	};

	/** Agents whose primary runs an agent and has nothing ahead of it. */
	const calm = () => {
		const { books, fleet, ec2 } = world;
		const open = new Map(books.emergencies.flatMap((one) => (one.open_of === null ? [] : [[one.open_of, one]])));
		const replicas = new Map(books.replicas.flatMap((one) => (one.live_of === null ? [] : [[one.live_of, one]])));
		const busy = new Set(openCommands(books).map((command) => command.agent_id));
		return [...primaries(books)].flatMap(([agentId, host]) => {
			const emergency = open.get(agentId);
			if (emergency !== undefined && emergency.kind !== 'rebalance') return [];
			if (noticed.has(host.instance_id) || ec2.describe(host.instance_id).state !== 'running') return [];
			if (fleet.host(host.instance_id)?.agent?.isRunning !== true || host.registered_at === null) return [];
			return [{ agentId, host, emergency, replica: replicas.get(agentId) ?? null, busy: busy.has(agentId) }];
		});
	};

	let clearing = false;
	return {
		counts,
		refusals,
		clear: () => {
			clearing = true;
		},
		turn: async () => {
			const agents = calm();
			if (clearing) {
				for (const { host, emergency } of agents)
					if (emergency !== undefined) notify(host.instance_id, 'termination', 'notice after rebalance');
				return;
			}
			const agent = agents[random.between(0, agents.length - 1)];
			if (agent === undefined) return;
			const { agentId, host, emergency, replica, busy } = agent;
			const ready = replica?.status === 'ready' ? replica : null;
			if (random.chance(0.03)) world.ec2.shortage(host.pool_id ?? '', SHORTAGE_MS);
			const roll = random.next();
			if (ready !== null && roll < 0.06) await asked('promote', (api) => api.promoteReplica({ agent_id: agentId, replica_id: ready.id }));
			else if (ready !== null && roll < 0.09)
				await asked('delete', (api) => api.deleteReplica({ agent_id: agentId, replica_id: ready.id }));
			else if (ready !== null && roll < 0.15) {
				count('struck down');
				noticed.add(host.instance_id);
				world.ec2.terminate(host.instance_id, AWS, 'hardware failure');
			} else if (roll < 0.2 && !busy && host.mode === 'spot' && emergency === undefined) {
				await asked('force-switch', (api) =>
					api.forceSwitch({ instance_id: host.instance_id, client_id: world.clientId, target: 'ondemand' }),
				);
			} else if (roll < 0.35 && emergency === undefined) notify(host.instance_id, 'rebalance', 'rebalance');
			else if (ready !== null) notify(host.instance_id, 'termination', 'notice, replica ready');
			else notify(host.instance_id, 'termination', replica === null ? 'notice, no replica' : `notice, replica ${replica.status}`);
		},
	};
};
