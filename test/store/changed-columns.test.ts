import { describe, expect, it } from 'vitest';
import { type Agent, saveAgentSince } from '../../src/store/agents.ts';
import { type Host, saveHostSince } from '../../src/store/hosts.ts';
import { makeAgent } from '../core/agent-scene.ts';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';

describe('an update of what has changed', () => {
	describeEachDatabase('in the database', ({ freshUrl }) => {
		const world = shareWorld(freshUrl, { jobs: [] });
		const hostOf = (handle: string): Promise<Host> =>
			world.store.read.selectFrom('host').selectAll().where('handle', '=', handle).executeTakeFirstOrThrow();
		const agentOf = (id: string): Promise<Agent> =>
			world.store.read.selectFrom('agent').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

		it('names the columns that differ and no other, and leaves what somebody else wrote there', async () => {
			const { id } = await makeAgent(world);
			const was = await hostOf(id);
			await world.store.transact((tx) => tx.updateTable('host').set({ ami_id: 'ami-of-another' }).where('handle', '=', id).execute());
			const texts = await world.statements(() => world.store.transact((tx) => saveHostSince(tx, was, { ...was, hostname: 'new' })));
			const [update] = texts.filter((text) => /update .host./.test(text));
			expect(update).toMatch(/set .hostname. = \? where .handle. = \?$/);
			expect(await hostOf(id)).toEqual({ ...was, hostname: 'new', ami_id: 'ami-of-another' });
		});

		it('is none where nothing differs', async () => {
			const { id } = await makeAgent(world);
			const was = await hostOf(id);
			const texts = await world.statements(() => world.store.transact((tx) => saveHostSince(tx, was, { ...was })));
			expect(texts.filter((text) => /update .host./.test(text))).toEqual([]);
		});

		it('of an agent fails where somebody else has written it since', async () => {
			const { id } = await makeAgent(world);
			const was = await agentOf(id);
			const save = (status: Agent['status']) =>
				world.store.transact((tx) => saveAgentSince(tx, was, { ...was, status, version: was.version + 1 }));
			await save('offline');
			await expect(save('switching')).rejects.toSatisfy((error) => world.store.dialect.isStale(error));
			expect(await agentOf(id)).toEqual({ ...was, status: 'offline', version: was.version + 1 });
		});

		it('writes every value also where more sets of columns differ than have a statement of their own', async () => {
			const { id } = await makeAgent(world);
			const names = ['ami_id', 'hostname', 'private_ip', 'public_ip', 'agent_version', 'az', 'region'] as const;
			for (let set = 1; set < 2 ** names.length; set++) {
				const was = await hostOf(id);
				const is = { ...was, ...Object.fromEntries(names.flatMap((name, bit) => ((set >> bit) & 1 ? [[name, `v${set}`]] : []))) };
				await world.store.transact((tx) => saveHostSince(tx, was, is));
				expect(await hostOf(id)).toEqual(is);
			}
		});
	});
});
