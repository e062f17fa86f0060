import { expect, it } from 'vitest';
import { describeEachDatabase } from '../helpers/databases.ts';
import { shareWorld } from '../helpers/shared-world.ts';

describeEachDatabase('the e-mail address of a client', ({ freshUrl }) => {
	const world = shareWorld(freshUrl);
	const create = (name: string, email: string) => world.admin.call('createClient', { name, email });

	it('is one address whatever its letters, and is kept in lower case', async () => {
		expect(await create('first', 'Ops@Example.COM')).toMatchObject({ status: 201, body: { client: { email: 'ops@example.com' } } });
		for (const email of ['Ops@Example.COM', 'ops@example.com', 'OPS@EXAMPLE.COM']) {
			expect(await create(`another-${email}`, email)).toMatchObject({ status: 409, body: { code: 'DUPLICATE_EMAIL' } });
		}
		expect((await create('second', 'dev@example.com')).status).toBe(201);
	});

	it('is of one client only when two ask for it at once in different letters', async () => {
		const replies = await Promise.all(['race@x.org', 'Race@x.org', 'RACE@X.ORG'].map((email, n) => create(`racer-${n}`, email)));
		expect(replies.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
	});
});
