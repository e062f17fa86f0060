import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that mostly wait, for real daemons and their time limits: begun last, they would go on alone. */
const WAITING = [/test\/fleet\//, /test\/commands\/real/, /test\/daemon\/outage/];

/** Those that wait first, beside what keeps the cores busy. */
class WaitingFirst extends BaseSequencer {
	override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
		const waits = ({ moduleId }: TestSpecification): boolean => WAITING.some((path) => path.test(moduleId));
		const sorted = await super.sort(files);
		return [...sorted.filter(waits), ...sorted.filter((file) => !waits(file))];
	}
}

export default defineConfig({
	test: {
		include: ['test/**/*.test.{ts,tsx}'],
		globalSetup: ['test/helpers/global-setup.ts'],
		pool: 'forks',
		// A worker keeps its modules from file to file: reading them anew for each of 127 files was a third of the suite's time.
		isolate: false,
		// One more than cores: daemons under test wait for leases and time limits. The limits are for machines that are much slower than ours.
		maxWorkers: 3,
		sequence: { sequencer: WaitingFirst },
		expect: { poll: { timeout: 15_000 } },
		testTimeout: 120_000,
		hookTimeout: 120_000,
	},
});
