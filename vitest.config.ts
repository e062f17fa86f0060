import { defineConfig } from 'vitest/config';

export default defineConfig({
	test: {
		include: ['test/**/*.test.{ts,tsx}'],
		globalSetup: ['test/helpers/global-setup.ts'],
		pool: 'forks',
		// One more than cores: daemons under test wait for leases and time limits. The limits are for machines that are much slower than ours.
		maxWorkers: 3,
		testTimeout: 120_000,
		hookTimeout: 120_000,
	},
});
