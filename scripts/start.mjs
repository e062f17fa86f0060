// `npm start`: installs what is missing, builds what changed, and runs the daemon in front. Arguments after `--` go to `spotctl serve`.
import { delimiter, dirname, join } from 'node:path';
import { prepare } from './build.mjs';
import { root, run } from './install.mjs';

await prepare();
// The launcher finds Node by PATH: it shall be this one, which the packages were compiled for.
const PATH = [dirname(process.execPath), process.env.PATH].join(delimiter);
process.exitCode = await run(join(root, 'bin/spotctl'), ['serve', ...process.argv.slice(2)], {
	cwd: process.cwd(),
	env: { ...process.env, PATH },
	group: false,
});
