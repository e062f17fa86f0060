import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/deps.ts';
import { createCheckpoints } from '../../src/store/sqlite-checkpoints.ts';
import { temporaryFolder } from '../helpers/folders.ts';

let file = '';
let writer: Database.Database;
let descriptor = 0;

beforeEach(() => {
	file = join(temporaryFolder('checkpoints'), 'test.db');
	descriptor = openSync(file, 'a');
	writer = new Database(file);
	writer.pragma('journal_mode = WAL');
	writer.pragma('wal_autocheckpoint = 0');
	writer.exec('create table page (v blob)');
});
afterEach(() => {
	writer.close();
	closeSync(descriptor);
});

const fill = (): void => {
	writer.exec(
		'insert into page select zeroblob(4000) from (with recursive n(i) as (select 1 union all select i + 1 from n where i < 6000) select i from n)',
	);
};

describe('the thread that copies the log back', () => {
	it('is told of once when it ends, and begins anew a minute later, not before', async () => {
		let elapsed = 0;
		const told: string[] = [];
		const clock = { ...systemClock, elapsed: () => elapsed };
		const checkpoints = createCheckpoints(writer, join(file, 'none.db'), descriptor, { clock, tell: (trouble) => void told.push(trouble) });
		fill();
		checkpoints.committed();
		await vi.waitFor(() => expect(told).toHaveLength(1), { timeout: 10_000 });
		expect(told[0]).toMatch(
			/^the thread that shortens SQLite’s write-ahead log ended \(.+\); another begins a minute later, until then some commits take longer$/,
		);
		elapsed = 59_999;
		checkpoints.committed();
		elapsed = 60_000;
		checkpoints.committed();
		await vi.waitFor(() => expect(told).toHaveLength(2), { timeout: 10_000 });
		await checkpoints.close();
		expect(told).toHaveLength(2);
	});
});
