import { expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { brokenInvariants } from '../helpers/invariants.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import { type AgentScene, makeAgent, newMachine, orderSwitch, rolesOf, rowsOf } from './agent-scene.ts';

/** More than two transactions of sixteen. */
const MANY = 40;

describeEachDatabase('what many ask for at once', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);
	const rows = rowsOf(world);
	const each = <T>(run: (index: number) => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: MANY }, (_, index) => run(index)));
	const isWhole = async (): Promise<void> => {
		const [daemon] = world.daemons;
		if (daemon === undefined) throw new Error('no daemon');
		expect(await brokenInvariants(world, daemon)).toEqual([]);
	};

	it('is done once for each: machines register, switches are forced, claimed, reported and acknowledged', async () => {
		const client = await world.client();
		const agents = await each(() => makeAgent(world, client));
		expect(new Set(agents.map(({ id }) => id)).size).toBe(MANY);
		const commands = await Promise.all(agents.map(({ instanceId, id }) => orderSwitch(client, instanceId, id)));
		expect(new Set(commands).size).toBe(MANY);
		const machines = agents.map(() => newMachine());
		const reports = await each((index) => client.report(agents[index]?.id ?? '', machines[index] ?? ''));
		expect(reports.map(({ body }) => body.action)).toEqual(machines.map(() => 'switched'));
		const acks = await each((index) => client.ack(agents[index]?.id ?? '', commands[index] ?? ''));
		expect(acks.map(({ body }) => body.command_status)).toEqual(machines.map(() => 'completed'));
		const hosts = await each((index) => client.register(machines[index] ?? '', { logical_agent_id: agents[index]?.logicalId ?? '' }));
		expect(hosts.map(({ body }) => [body.role, body.generation])).toEqual(machines.map(() => ['primary', 2]));
		const told = await rows.notifications(hosts[7]?.body.public_agent_id ?? '');
		expect(told.map(({ type, count }) => [type, count])).toContainEqual(['instance_switched', 1]);
		await isWhole();
	});

	it('takes fewer statements each than alone, where transactions are not gathered anyway', async () => {
		const client = await world.client();
		const scene = async () => {
			const agent = await makeAgent(world, client);
			await orderSwitch(client, agent.instanceId, agent.id);
			return agent;
		};
		const report = ({ id }: AgentScene) => client.report(id, newMachine());
		const one = await scene();
		const alone = (await world.statements(() => report(one))).length;
		const sixteen = await Promise.all(Array.from({ length: 16 }, scene));
		const together = (await world.statements(() => Promise.all(sixteen.map(report)))).length;
		if (world.store.transactShared === null) expect(together).toBe(16 * alone);
		else expect(together).toBeLessThan(16 * (alone - 3));
	});

	it('is refused only to whom it concerns: the others are served', async () => {
		const client = await world.client();
		const other = await world.client();
		const agents = await each(() => makeAgent(world, client));
		const forced = await each((index) =>
			index % 10 === 3
				? other.force(agents[index]?.instanceId ?? '', 'b')
				: index % 10 === 4
					? client.force(agents[index]?.instanceId ?? '', 'a')
					: client.force(agents[index]?.instanceId ?? '', 'b'),
		);
		expect(forced.map(({ status }) => status)).toEqual(agents.map((_, index) => (index % 10 === 3 ? 404 : index % 10 === 4 ? 409 : 200)));
		expect(forced[4]?.body.code).toBe('ALREADY_THERE');
		await isWhole();
	});

	it('about one agent is done one after the other: of two forced switches one is queued, and of its new machines one leads', async () => {
		const client = await world.client();
		const agents = await each(() => makeAgent(world, client));
		const twice = await Promise.all(agents.flatMap(({ instanceId }) => [client.force(instanceId, 'b'), client.force(instanceId, 'c')]));
		for (const [index, agent] of agents.entries()) {
			const both = [twice[2 * index], twice[2 * index + 1]];
			expect(both.map((reply) => reply?.status).sort()).toEqual([200, 409]);
			expect(both.find((reply) => reply?.status === 409)?.body.code).toBe('SWITCH_OPEN');
			expect((await client.poll(agent.id)).body.commands.length).toBe(1);
		}
		const joined = await Promise.all(
			agents.flatMap(({ logicalId }) =>
				['b', 'c'].map((zone) => client.register(newMachine(), { logical_agent_id: logicalId, az: `us-east-1${zone}` })),
			),
		);
		expect(joined.every(({ status }) => status === 200)).toBe(true);
		for (const { body } of joined)
			expect(Object.values(await rolesOf(world, body.public_agent_id)).filter((role) => role === 'primary')).toEqual(['primary']);
		await isWhole();
	});

	it('and repeated with its X-Request-ID is done once, and answered alike', async () => {
		const client = await world.client();
		const agents = await each(() => makeAgent(world, client));
		const ask = (index: number) =>
			client.call(
				'forceSwitch',
				{ instance_id: agents[index]?.instanceId ?? '', target: 'pool', pool_id: 'c5.large.us-east-1b' },
				{
					'x-request-id': `order-${index}`,
				},
			);
		const twice = await each(async (index) => Promise.all([ask(index), ask(index)]));
		for (const [first, second] of twice) {
			expect([first.status, second.status]).toEqual([200, 200]);
			expect(first.body.command_id).toBe(second.body.command_id);
		}
		expect(new Set(twice.map(([first]) => first.body.command_id)).size).toBe(MANY);
		await isWhole();
	});

	it('by machines nobody knows, of one agent each, makes one agent of those with one name', async () => {
		const client = await world.client();
		const replies = await each((index) => client.register(newMachine(), { logical_agent_id: `name-${index % 10}` }));
		expect(new Set(replies.map(({ body }) => body.public_agent_id)).size).toBe(10);
		expect(replies.filter(({ body }) => body.role === 'primary').length).toBe(10);
		await isWhole();
	});

	it('is held to the limits of its client, to the last one', async () => {
		const client = await world.client();
		const changed = await world.admin.call('updateClient', { client_id: client.id, max_agents: 25 });
		expect(changed.status).toBe(200);
		const replies = await each(() => client.register(newMachine(), { logical_agent_id: newMachine() }));
		expect(replies.filter(({ status }) => status === 200).length).toBe(25);
		expect(new Set(replies.filter(({ status }) => status !== 200).map(({ body }) => body.code))).toEqual(new Set(['AGENT_LIMIT']));
	});
});
