import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startDaemon, stopDaemons, type TestDaemon } from '../helpers/daemon.ts';
import { type CoreOperation, coreOperations, INPUTS, makeScene, namesIn, requestOf, type Scene } from '../helpers/scene.ts';

const PARTS = ['agent_id', 'instance_id', 'client_id', 'command_id', 'replica_id', 'token_id', 'emergency_id', 'name'];

describe('a token that somebody puts into the address instead of an id', () => {
	let daemon: TestDaemon;
	let scene: Scene;
	beforeAll(async () => {
		daemon = await startDaemon(null);
		scene = await makeScene(daemon);
	});
	afterAll(stopDaemons);

	const secret = 'spt_m0Zr1VtX7nYc4-pW2_Ld9q8Kz3sHb6Gf5Jw0Ae2Ri7';
	const inPath = coreOperations.filter(({ operation }) => namesIn(operation, ...PARTS));
	const sent = ({ name, operation }: CoreOperation, id: string) => {
		const input = INPUTS[name](scene) as unknown as Record<string, unknown>;
		const named = Object.fromEntries(PARTS.filter((part) => namesIn(operation, part)).map((part) => [part, id]));
		return requestOf(operation, { ...input, ...named });
	};

	it('is in no answer and in no line of the log, at the level that shows every request', async () => {
		expect(inPath.length).toBeGreaterThan(30);
		for (const each of inPath) {
			const { text } = await daemon.send({ ...sent(each, secret), token: daemon.admin });
			expect(text).not.toContain(secret);
		}
		await daemon.send({ path: `/nowhere/${secret}`, token: daemon.admin });
		expect(daemon.log()).not.toContain(secret);
	});

	it('is shown by its kind only, so that the mistake can be seen', async () => {
		const { status, body } = await daemon.send({ path: `/api/client/instances/${secret}/pricing`, token: daemon.admin });
		expect([status, body['error']]).toEqual([404, 'no instance "spt_***"']);
		expect(daemon.log()).toContain('/api/client/instances/spt_***/pricing');
	});

	it('is not in the log either when it is percent-encoded', async () => {
		const encoded = `%73pt%5F${secret.slice(4)}`;
		await daemon.send({ path: `/api/agents/${encoded}/config`, token: daemon.admin });
		expect(daemon.log()).not.toContain(secret.slice(4));
	});
});
