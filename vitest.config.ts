import { defineConfig } from 'vitest/config';

export default defineConfig({
	test: {
		include: ['test/**/*.test.{ts,tsx}'],
		globalSetup: ['test/helpers/global-setup.ts'],
		pool: 'forks',
		// A worker keeps its modules from file to file: reading them anew for each of 127 files was a third of the suite's time.
		isolate: false,
		// One more than cores: daemons under test wait for leases and time limits. The limits are for machines that are much slower than ours.
		maxWorkers: 3,
		testTimeout: 120_000,
		hookTimeout: 120_000,
	},
});
