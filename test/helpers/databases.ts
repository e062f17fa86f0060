import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe } from 'vitest';
import { createDatabase, sharedMariadb } from './mariadb.ts';

export type DatabaseKind = 'sqlite' | 'mariadb';

export type TestDatabases = {
	readonly kind: DatabaseKind;
	/**
	 * The URL of a fresh, empty database. One made in a test or in `beforeEach` goes after the test (after your own `afterEach`), one made
	 * in `beforeAll` after the last test. A transaction left open in it fails the test.
	 */
	freshUrl(): Promise<string>;
};

type Fresh = { url: string; drop(): Promise<void> };

const freshFile = async (): Promise<Fresh> => {
	const folder = mkdtempSync(join(tmpdir(), 'spotctl-sqlite-'));
	return { url: `sqlite:${join(folder, 'test.db')}`, drop: async () => rmSync(folder, { recursive: true, force: true }) };
};

const dropAll = async (databases: Fresh[]): Promise<void> => {
	for (const { drop } of databases.splice(0)) await drop();
};

const describeOne = (name: string, kind: DatabaseKind, body: (databases: TestDatabases) => void): void => {
	const shared = sharedMariadb();
	const missing = kind === 'mariadb' && 'missing' in shared ? `: ${shared.missing}` : '';
	describe.skipIf(missing !== '')(`${name} (${kind}${missing})`, () => {
		const ofTest: Fresh[] = [];
		const ofAll: Fresh[] = [];
		let inTest = false;
		beforeEach(() => {
			inTest = true;
		});
		afterEach(async () => {
			inTest = false;
			await dropAll(ofTest);
		});
		afterAll(() => dropAll(ofAll));
		const freshUrl = async (): Promise<string> => {
			const fresh = await (kind === 'sqlite' ? freshFile() : createDatabase());
			(inTest ? ofTest : ofAll).push(fresh);
			return fresh.url;
		};
		body({ kind, freshUrl });
	});
};

/** The same tests on SQLite and on MariaDB. Without a MariaDB server that half is skipped and says why. */
export const describeEachDatabase = (name: string, body: (databases: TestDatabases) => void): void => {
	for (const kind of ['sqlite', 'mariadb'] as const) describeOne(name, kind, body);
};
