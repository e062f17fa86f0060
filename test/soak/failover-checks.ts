import type { Ec2 } from '../../src/fleet/ec2.ts';
import type { Fleet } from '../../src/fleet/fleet.ts';
import { openCommands, primaries } from './books.ts';
import type { FailoverBooks } from './failover-books.ts';
import type { FailoverWitness } from './failover-witness.ts';
import type { TerminateCall } from './spine-world.ts';

type World = {
	readonly ec2: Ec2;
	readonly fleet: Fleet;
	readonly terminateCalls: readonly TerminateCall[];
	readonly witness: FailoverWitness;
};

const isUp = (ec2: Ec2, instanceId: string): boolean => {
	const { state } = ec2.describe(instanceId);
	return state === 'running' || state === 'pending';
};

/** Machines that run, are not needed and are held back by nothing: somebody must still end them. */
const leftovers = ({ ec2, fleet }: World, books: FailoverBooks, now: number): string[] => {
	const agents = new Map(books.agents.map((agent) => [agent.id, agent]));
	const live = new Set(books.replicas.flatMap(({ live_of, handle }) => (live_of !== null && handle !== null ? [handle] : [])));
	const known = new Map(books.hosts.map((host) => [host.instance_id, host]));
	return fleet.hosts().flatMap(({ instanceId, isUp: runs, starts }) => {
		if (!runs || !isUp(ec2, instanceId)) return [];
		const host = known.get(instanceId);
		// It registers as soon as its agent has come up; until then only a PUT can name it.
		if (host === undefined) return starts === 0 ? [] : [`${instanceId} runs and is in no books`];
		if (host.role === 'primary' || host.role === 'candidate' || live.has(host.handle)) return [];
		const heldUntil = books.heldUntil.get(host.handle) ?? null;
		if (host.hold === 1 || (heldUntil !== null && heldUntil > now)) return [];
		const agent = agents.get(host.agent_id);
		if (agent?.auto_terminate_enabled !== 1 || !agent.logical_agent_id.startsWith('classic-')) return [];
		return [`${instanceId} of ${agent.logical_agent_id} is ${host.role} and still runs`];
	});
};

/** What is not over yet: emergencies and orders that go on, agents without a living primary, machines that must still end. */
export const unsettledFailover = (world: World, books: FailoverBooks, now: number): string[] => {
	const { ec2 } = world;
	const found = openCommands(books).map((command) => `command ${command.id} is ${command.status}`);
	for (const { id, agent_id, kind, open_of, step, message } of books.emergencies)
		if (open_of !== null) found.push(`the ${kind} emergency ${id} of ${agent_id} is open at ${step}: ${message}`);
	const main = primaries(books);
	for (const agent of books.agents) {
		const host = main.get(agent.id);
		if (host === undefined) continue;
		if (!isUp(ec2, host.instance_id)) found.push(`the primary ${host.instance_id} of ${agent.logical_agent_id} does not run`);
		if (host.registered_at === null) found.push(`the primary ${host.instance_id} of ${agent.logical_agent_id} never registered`);
		if (agent.status !== 'online') found.push(`${agent.logical_agent_id} is ${agent.status}`);
	}
	return [...found, ...leftovers(world, books, now)];
};

/** Launches and ends in EC2, against what was ordered and what the books say. */
export const failoverAccounts = ({ ec2, terminateCalls, witness }: World, books: FailoverBooks): string[] => {
	const found: string[] = [];
	const launches = new Map<string, number>();
	for (const { kind, by, reason } of ec2.ledger)
		if (kind === 'launch' && by.kind === 'agent') launches.set(reason, (launches.get(reason) ?? 0) + 1);
	for (const [reason, times] of launches) {
		const [what, id = ''] = reason.split(' ');
		if (what !== 'replica') continue;
		if (times > 1) found.push(`replica ${id} was launched ${times} times`);
		if (!witness.orders.has(id)) found.push(`replica ${id} was launched without an order`);
	}
	const switches = new Map<string, number>();
	for (const { kind, by, reason } of ec2.ledger) {
		if (kind !== 'launch' || reason !== 'switch' || by.instanceId === null) continue;
		switches.set(by.instanceId, (switches.get(by.instanceId) ?? 0) + 1);
	}
	for (const [instanceId, times] of switches) {
		const orders = witness.spine.handed.filter((one) => one.instanceId === instanceId).length;
		if (times > orders) found.push(`${instanceId} had ${orders} switch orders and launched ${times} machines`);
	}

	const hosts = new Map(books.hosts.map((host) => [host.instance_id, host]));
	const silenced = new Set(books.emergencies.flatMap((one) => (one.kind === 'silent-primary' ? [one.instance_id] : [])));
	const noticed = new Set(books.emergencies.flatMap((one) => (one.kind === 'termination' ? [one.instance_id] : [])));
	for (const { instanceId, by, reason } of terminateCalls) {
		if (by.kind !== 'agent' || reason === 'own machine after switch' || reason === 'switch failed') continue;
		const host = hosts.get(instanceId);
		if (host?.role === 'primary') found.push(`the primary ${instanceId} was ended by ${by.instanceId} (${reason})`);
		if (silenced.has(instanceId) && !noticed.has(instanceId)) found.push(`${instanceId} was ended because it was silent (${reason})`);
	}
	for (const { role, instance_id } of books.hosts)
		if (role === 'terminated' && isUp(ec2, instance_id)) found.push(`${instance_id} is terminated in the books and runs in EC2`);

	// A failover is one change of primary: from the machine of the notice to the one the emergency names.
	const replicas = new Map(books.replicas.map((replica) => [replica.id, replica]));
	const promoted = new Set(books.replicas.flatMap((replica) => (replica.status === 'promoted' ? [replica.instance_id] : [])));
	for (const { id, outcome, promoted_at, replica_id, new_instance_id, instance_id } of books.emergencies) {
		const hasMoved = outcome === 'failed-over' || outcome === 'unconfirmed';
		if (hasMoved && (promoted_at === null || new_instance_id === null))
			found.push(`emergency ${id} ended as ${outcome} and names no machine`);
		const named = replicas.get(replica_id ?? '')?.instance_id ?? null;
		if (hasMoved && promoted.has(new_instance_id) && named !== new_instance_id)
			found.push(`emergency ${id} ended as ${outcome} to ${new_instance_id} and names replica ${replica_id} with ${named}`);
		if (new_instance_id === instance_id) found.push(`emergency ${id} put ${instance_id} in its own place`);
		if (outcome === 'failed-over' && new_instance_id !== null && hosts.get(new_instance_id)?.registered_at === null)
			found.push(`emergency ${id} ended as failed-over to ${new_instance_id}, which never registered`);
	}
	return found;
};
