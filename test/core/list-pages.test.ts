import { describe, expect, it } from 'vitest';
import type { Name } from '../../src/contract/index.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';
import type { Actor, ClientActor } from '../helpers/world.ts';
import { type AgentScene, makeAgent } from './agent-scene.ts';
import { deletedReplica, fetchOrder } from './replica-scene.ts';

type Part = { readonly data?: unknown; readonly agents?: unknown; readonly next_cursor: string | null };

describeEachDatabase('the pages of a list', ({ freshUrl }) => {
	const world = shareWorld(freshUrl, { jobs: [] });

	const ask = async (actor: Actor, name: Name, input: object): Promise<{ ids: string[]; next: string | null }> => {
		const { status, body } = await actor.call(name, input as never);
		expect(status).toBe(200);
		const { data, agents, next_cursor } = body as unknown as Part;
		const rows = (agents ?? data) as { id?: string; agentId?: string }[];
		return { ids: rows.map(({ id, agentId }) => id ?? agentId ?? ''), next: next_cursor };
	};

	const walk = async (
		actor: Actor,
		name: Name,
		input: object,
		meanwhile: (page: number) => Promise<unknown> = async () => undefined,
	): Promise<string[]> => {
		const found: string[] = [];
		let cursor: string | null = null;
		for (let page = 0; page < 50; page++) {
			const { ids, next }: { ids: string[]; next: string | null } = await ask(actor, name, { ...input, ...(cursor && { cursor }) });
			found.push(...ids);
			if (next === null) return found;
			cursor = next;
			await meanwhile(page);
		}
		throw new Error('the walk has no end');
	};

	const agents = async (count: number): Promise<{ client: ClientActor; made: AgentScene[] }> => {
		const client = await world.client();
		const made: AgentScene[] = [];
		for (let n = 0; n < count; n++) made.push(await makeAgent(world, client));
		return { client, made };
	};

	/** Heartbeats arrive in this order, and are written. */
	const hear = async (client: ClientActor, ids: readonly string[]): Promise<void> => {
		for (const id of ids) {
			await world.advance(2000, 500);
			expect((await client.heartbeat(id)).status).toBe(200);
		}
		await world.advance(2000, 500);
	};

	const become = (id: string, status: 'online' | 'offline' | 'error' | 'deleted') =>
		world.store.ddl.updateTable('agent').set({ status }).where('id', '=', id).execute();

	describe('of agents', () => {
		it('is in the order of the last heartbeats (#7, #20)', async () => {
			const { client, made } = await agents(4);
			const [a = '', b = '', c = '', d = ''] = made.map(({ id }) => id);
			await hear(client, [c, a, d, b]);
			expect((await ask(client, 'listClientAgents', { client_id: client.id })).ids).toEqual([b, d, a, c]);
			expect((await ask(world.admin, 'listAgents', { client_id: client.id })).ids).toEqual([b, d, a, c]);
		});

		it('has those online first in the history, then offline, deleted and other ones (#22)', async () => {
			const { client, made } = await agents(5);
			const [a = '', b = '', c = '', d = '', e = ''] = made.map(({ id }) => id);
			await hear(client, [b, a, c, d, e]);
			for (const [id, status] of [
				[d, 'offline'],
				[c, 'deleted'],
				[e, 'error'],
			] as const)
				await become(id, status);
			expect((await ask(client, 'listAgentHistory', { client_id: client.id })).ids).toEqual([a, b, d, c, e]);
		});

		it.each(['listAgents', 'listClientAgents', 'listAgentHistory', 'agentDecisions'] as const)(
			'has each agent once in %s, whoever calls or changes its state meanwhile',
			async (name) => {
				const { client, made } = await agents(6);
				const ids = made.map(({ id }) => id);
				const changing = ids.slice(3).reverse();
				for (const limit of [1, 2]) {
					for (const id of changing) await become(id, 'offline');
					const found = await walk(name === 'listAgents' ? world.admin : client, name, { client_id: client.id, limit }, async (page) => {
						await become(changing[page % 3] ?? '', 'online');
						await hear(client, [ids[page % 6] ?? '']);
					});
					expect([...found].sort()).toEqual([...ids].sort());
				}
			},
		);
	});

	it('of tokens lead to the last of them, and none is out of reach of revoking', async () => {
		const client = await world.client();
		const first = await ask(world.admin, 'listTokens', { client_id: client.id });
		const ids = [...first.ids];
		for (let n = 0; n < 4; n++) {
			const { body } = await world.admin.call('createToken', { client_id: client.id, name: `t${n}` });
			ids.unshift(body.token_id);
			if (n % 2 === 0) await world.advance(1000, 1000);
		}
		expect(await walk(world.admin, 'listTokens', { client_id: client.id, limit: 2 })).toEqual(ids);
		const admins: string[] = [];
		for (let n = 0; n < 3; n++)
			admins.unshift((await world.admin.call('createAdminToken', { name: `pages-${n}`, scope: 'read' })).body.token_id);
		expect((await walk(world.admin, 'listAdminTokens', { limit: 1 })).slice(0, 3)).toEqual(admins);
		expect((await world.admin.call('revokeToken', { client_id: client.id, token_id: ids.at(-1) ?? '' })).status).toBe(200);
		expect((await world.admin.call('revokeAdminToken', { token_id: 'pages-0' })).status).toBe(200);
	});

	it('of the replicas a host sees go on at their cursor; its polls are answered as ever (#58)', async () => {
		const { agent, id } = await deletedReplica(world);
		const second = await fetchOrder(agent, agent.id);
		const list = async (input: object) =>
			(await agent.client.call('listHostReplicas', { agent_id: agent.id, include_terminated: true, ...input })).body;
		const one = await list({ limit: 1 });
		expect(one.replicas.map((replica) => replica.id)).toEqual([second.id]);
		const rest = await list({ limit: 1, cursor: one.next_cursor });
		expect(rest.replicas.map((replica) => replica.id)).toEqual([id]);
		expect(rest.next_cursor).toBe(null);
		for (const status of ['launching', 'terminated']) {
			expect((await list({ status })).next_cursor).toBe(null);
			expect(await list({ status, cursor: one.next_cursor })).toMatchObject({ replicas: [], total: 0 });
		}
	});

	it('begin with no cursor but their own', async () => {
		await world.client();
		await world.client();
		const { next } = await ask(world.admin, 'listClients', { limit: 1 });
		for (const name of ['listAgents', 'listAdminTokens', 'listInstances', 'listReplicas', 'listCommands'] as const)
			expect([name, (await world.admin.call(name, { cursor: next ?? '' })).body.code]).toEqual([name, 'INVALID_CURSOR']);
		expect((await world.admin.call('listClients', { cursor: next ?? '' })).status).toBe(200);
	});
});
