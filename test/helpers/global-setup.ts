import type { TestProject } from 'vitest/node';
import { mariadbBinary, startMariadb } from './mariadb.ts';

/** One MariaDB for the whole run: the user's (`SPOTCTL_TEST_MYSQL_URL`, an account that may create databases) or a private one. */
export const setup = async ({ provide }: TestProject): Promise<(() => Promise<void>) | undefined> => {
	const given = process.env['SPOTCTL_TEST_MYSQL_URL'];
	if (given) {
		provide('mariadb', { adminUrl: given, template: null });
		return undefined;
	}
	if (mariadbBinary() === undefined) {
		const missing = 'no MariaDB server on this machine (apt-get install mariadb-server, or set SPOTCTL_TEST_MYSQL_URL)';
		if (process.env['CI'] === 'true') throw new Error(missing);
		provide('mariadb', { missing });
		return undefined;
	}
	// No test kills this server, so nothing need wait for the disk, and a table no file of its own: what daemons see is the same.
	const server = await startMariadb({
		args: [
			...['--innodb-flush-log-at-trx-commit=2', '--innodb-flush-method=nosync', '--innodb-doublewrite=0', '--sync-frm=0'],
			// Statistics of tables that live for a second: a quarter of making and dropping them.
			...['--innodb-file-per-table=0', '--innodb-stats-persistent=0', '--innodb-stats-auto-recalc=0'],
		],
	});
	provide('mariadb', { adminUrl: server.adminUrl, template: server.template });
	return () => server.stop();
};
