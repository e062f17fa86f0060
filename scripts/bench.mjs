// `npm run bench`: installs what is missing, builds what changed, and runs the benchmarks. Arguments after `--` go to them.
import { join } from 'node:path';
import { prepare } from './build.mjs';
import { root, run } from './install.mjs';

await prepare();
process.exitCode = await run(process.execPath, ['--import', 'tsx', join(root, 'bench/main.ts'), ...process.argv.slice(2)]);
