import { classicPrices, machine, type TestDaemon } from '../helpers/daemon.ts';
import { makeScene, type Scene } from '../helpers/scene.ts';

const REGION = 'us-east-1';
const zone = (letter: string): string => `${REGION}${letter}`;
const pool = (letter: string): string => `c5.large.${zone(letter)}`;

let number = 0;
const nextMachine = (): string => `i-${(0xfac7_0000 + number++).toString(16).padStart(17, '0')}`;

/** An agent of a client that does what agents do, call by call. */
const agentOf = async (test: TestDaemon, token: string, name: string) => {
	const api = test.apiAs(token);
	const logical_agent_id = `${name}-${number}`;
	const register = (instanceId: string, letter: string) =>
		api.registerHost(machine(instanceId, { logical_agent_id, az: zone(letter), hostname: `host-${name}` }));
	const instanceId = nextMachine();
	const { agent_id: handle } = await register(instanceId, 'a');
	await api.heartbeat({ agent_id: handle, status: 'online', instance_id: instanceId });
	await api.pricingReport({ agent_id: handle, ...classicPrices({ 'us-east-1a': 0.041, 'us-east-1b': 0.033, 'us-east-1c': 0.035 }) });
	return { api, handle, instanceId, register };
};

/** Ordered by its operator, launched, reported, acknowledged: a switch from end to end. */
const switched = async (test: TestDaemon, token: string): Promise<void> => {
	const { api, handle, instanceId, register } = await agentOf(test, token, 'switcher');
	await api.forceSwitch({ instance_id: instanceId, target: 'pool', pool_id: pool('b') });
	const { commands } = await api.pendingCommands({ agent_id: handle });
	const at = new Date().toISOString();
	const next = nextMachine();
	const side = (instance_id: string, letter: string) => ({
		instance_id,
		instance_type: 'c5.large',
		region: REGION,
		az: zone(letter),
		mode: 'spot',
		pool_id: pool(letter),
	});
	await api.switchReport({
		agent_id: handle,
		old_instance: side(instanceId, 'a'),
		new_instance: side(next, 'b'),
		prices: { on_demand: 0.085, old_spot: 0.041, new_spot: 0.033 },
		timing: {
			switch_initiated_at: at,
			new_instance_launched_at: at,
			new_instance_ready_at: at,
			traffic_switched_at: at,
			old_instance_terminated_at: at,
		},
		trigger: 'manual',
	});
	await api.commandExecuted({ agent_id: handle, command_id: commands[0]?.id ?? '', success: true, message: 'Switch completed' });
	await register(next, 'b');
};

/** A termination notice with a replica that stands ready: a failover. */
const failedOver = async (test: TestDaemon, token: string): Promise<void> => {
	const { api, handle, instanceId, register } = await agentOf(test, token, 'survivor');
	const standby = nextMachine();
	const { replica_id } = await api.createReplica({ agent_id: handle, instance_id: standby, pool_id: pool('c') });
	await register(standby, 'c');
	await api.replicaStatus({ agent_id: handle, replica_id, status: 'ready' });
	await api.createEmergencyReplica({ agent_id: handle, signal_type: 'termination-notice', instance_id: instanceId });
	await api.terminationImminent({ agent_id: handle, instance_id: instanceId });
};

/** A switch the agent could not carry out. */
const failed = async (test: TestDaemon, token: string): Promise<void> => {
	const { api, handle, instanceId } = await agentOf(test, token, 'unlucky');
	await api.forceSwitch({ instance_id: instanceId, target: 'ondemand' });
	const { commands } = await api.pendingCommands({ agent_id: handle });
	await api.commandExecuted({ agent_id: handle, command_id: commands[0]?.id ?? '', success: false, message: 'no capacity' });
	await api.heartbeat({ agent_id: handle, status: 'offline', instance_id: instanceId });
};

const deleted = async (test: TestDaemon, token: string): Promise<void> => {
	const { api, handle } = await agentOf(test, token, 'gone');
	await api.deleteAgent({ agent_id: handle });
};

/**
 * A client whose fleet has lived: an agent that switched and is asked to switch back with a standby and an open rebalance (the scene),
 * one that carried a switch out from end to end, one that failed over, one that failed to switch and went offline, one that was deleted.
 */
export const makeFleet = async (test: TestDaemon): Promise<Scene> => {
	const scene = await makeScene(test);
	const api = test.apiAs(scene.token);
	await api.heartbeat({ agent_id: scene.handle, status: 'online', instance_id: scene.instanceId });
	await api.pricingReport({ agent_id: scene.handle, ...classicPrices({ 'us-east-1a': 0.042, 'us-east-1b': 0.031 }) });
	await api.cleanupReport({ agent_id: scene.handle, snapshots: { deleted: ['snap-1'] } });
	for (const live of [switched, failedOver, failed, deleted]) await live(test, scene.token);
	return scene;
};
