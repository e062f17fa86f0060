import { afterAll, beforeAll, expect } from 'vitest';
import type { TestDatabases } from './databases.ts';
import { openWorld, type World, type WorldDaemon, type WorldOptions } from './world.ts';

export type SharedWorldOptions = WorldOptions & {
	/** How many daemons run on the database: one unless it is said. */
	readonly daemons?: number;
	/** What must hold after the last test, whatever the tests did. Each answers its problems in lines, as `brokenInvariants` does. */
	readonly must?: readonly ((world: World, daemon: WorldDaemon) => Promise<string[]>)[];
};

/**
 * One world for all tests of the group it is called in, opened before the first and closed after the last. The value may be handed on at
 * once and used from the first hook or test on; before that every use of it throws.
 */
export const shareWorld = (freshUrl: TestDatabases['freshUrl'], { daemons = 1, must = [], ...options }: SharedWorldOptions = {}): World => {
	let opened: World | undefined;
	beforeAll(async () => {
		opened = await openWorld(await freshUrl(), options);
		for (let n = 1; n < daemons; n++) await opened.addDaemon();
	});
	afterAll(async () => {
		if (opened === undefined) return;
		try {
			const [daemon] = opened.daemons;
			if (daemon !== undefined) for (const broken of must) expect(await broken(opened, daemon)).toEqual([]);
		} finally {
			await opened.close();
		}
	});
	return new Proxy({} as World, {
		get: (_, name) => {
			if (opened === undefined) throw new Error('the world opens before the first test, not while tests are collected');
			return Reflect.get(opened, name);
		},
	});
};
