import type { Ec2 } from '../../src/fleet/ec2.ts';
import type { Fleet } from '../../src/fleet/fleet.ts';
import type { Db } from '../../src/store/statement.ts';
import { type Books, openCommands, primaries } from './books.ts';
import type { TerminateCall } from './spine-world.ts';
import type { Witness } from './witness.ts';

type World = {
	readonly ec2: Ec2;
	readonly fleets: readonly Fleet[];
	readonly terminateCalls: readonly TerminateCall[];
	readonly witness: Witness;
};

/** What is not over yet: open orders, agents whose primary does not run or was never heard, machines that must still end. */
export const unsettled = ({ ec2 }: World, books: Books): string[] => {
	const found = openCommands(books).map((command) => `command ${command.id} is ${command.status}`);
	const main = primaries(books);
	for (const agent of books.agents) {
		const host = main.get(agent.id);
		if (host === undefined) continue;
		const { state } = ec2.describe(host.instance_id);
		if (state !== 'running') found.push(`the primary ${host.instance_id} of ${agent.logical_agent_id} is ${state}`);
		if (host.registered_at === null) found.push(`the primary ${host.instance_id} of ${agent.logical_agent_id} never registered`);
		if (agent.status !== 'online') found.push(`${agent.logical_agent_id} is ${agent.status}`);
		// 3.2 and v4 read no terminate list: what is left of theirs an operator must end.
		if (!agent.logical_agent_id.startsWith('classic-') || agent.auto_terminate_enabled === 0) continue;
		for (const other of books.hosts) {
			if (other.agent_id === agent.id && other.role === 'zombie' && other.hold === 0 && ec2.describe(other.instance_id).state === 'running')
				found.push(`${other.instance_id} of ${agent.logical_agent_id} is a zombie and still runs`);
		}
	}
	return found;
};

/** Launches and ends in EC2, against what the books say of them. */
export const accounts = async ({ ec2, fleets, terminateCalls, witness }: World, books: Books, db: Db): Promise<string[]> => {
	const found: string[] = [];
	const launchedBy = new Map<string, string>();
	const launches = new Map<string, number>();
	for (const { kind, instanceId, by } of ec2.ledger) {
		if (kind !== 'launch' || by.kind !== 'agent' || instanceId === null || by.instanceId === null) continue;
		launchedBy.set(instanceId, by.instanceId);
		launches.set(by.instanceId, (launches.get(by.instanceId) ?? 0) + 1);
	}
	for (const [instanceId, count] of launches) {
		const orders = witness.handed.filter((one) => one.instanceId === instanceId).length;
		if (count > orders) found.push(`${instanceId} had ${orders} orders and launched ${count} machines`);
	}
	const proved = new Set<string>();
	for (const { id, status, outcome, instance_id, new_instance_id } of books.commands) {
		if (status !== 'completed') continue;
		if (new_instance_id === null) {
			if (outcome !== 'acknowledged') found.push(`command ${id} is ${status}/${outcome} and names no machine`);
			continue;
		}
		if (launchedBy.get(new_instance_id) !== instance_id)
			found.push(`command ${id} of ${instance_id} names ${new_instance_id}, which ${launchedBy.get(new_instance_id)} launched`);
		if (proved.has(new_instance_id)) found.push(`${new_instance_id} stands for two commands`);
		proved.add(new_instance_id);
	}
	// One launch for each switch that succeeded; beyond that only machines whose order ran out before anybody heard of them.
	const late = books.commands.filter(
		({ claimed_at, status }) => claimed_at !== null && (status === 'failed' || status === 'cancelled'),
	).length;
	if (launchedBy.size - proved.size > late)
		found.push(`${launchedBy.size} machines were launched, ${proved.size} switches succeeded and ${late} claimed orders ended otherwise`);
	const hosts = new Map(books.hosts.map((host) => [host.instance_id, host]));
	for (const fleet of fleets) {
		for (const host of fleet.hosts()) {
			if (host.isUp && !hosts.has(host.instanceId)) found.push(`${host.instanceId} runs and is in no books`);
		}
	}
	for (const { role, instance_id } of books.hosts) {
		const { state } = ec2.describe(instance_id);
		if (role === 'terminated' && state !== 'terminated' && state !== 'shutting-down')
			found.push(`${instance_id} is terminated in the books and ${state} in EC2`);
	}

	const records = await db
		.selectFrom('switch_record')
		.select(['command_id', 'evidence', 'success', 'old_instance_id', 'created_at'])
		.execute();
	for (const { id, status, new_instance_id } of books.commands) {
		const rows = records.filter((record) => record.command_id === id && record.success === 1).length;
		const wanted = status === 'completed' && new_instance_id !== null ? 1 : 0;
		if (rows !== wanted) found.push(`command ${id} is ${status} and has ${rows} rows of history`);
	}
	const listed = new Set(terminateCalls.flatMap(({ reason, instanceId }) => (reason.startsWith('terminate list:') ? [instanceId] : [])));
	for (const instanceId of listed) {
		const last = records
			.filter((record) => record.old_instance_id === instanceId)
			.sort((one, other) => other.created_at - one.created_at)[0];
		if (last !== undefined && last.evidence === 'takeover' && last.command_id === null)
			found.push(`${instanceId} was terminated because it was silent`);
	}
	return found;
};
