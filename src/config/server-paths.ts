import { join } from 'node:path';

/** Where the files of one server are. */
export interface ServerPaths {
  directory: string;
  database: string;
  /** Beside the database, so that one database never has two daemons. */
  lock: string;
  runState: string;
  log: string;
}

/** The files of a server whose directory this is. `GMP_DB_PATH` moves the database. */
export function serverPaths(
  directory: string,
  env: Readonly<Record<string, string | undefined>>,
): ServerPaths {
  const moved = env.GMP_DB_PATH;
  const database = moved === undefined || moved === '' ? join(directory, 'mail_service.db') : moved;
  return {
    directory,
    database,
    lock: `${database}.lock`,
    runState: join(directory, 'daemon.json'),
    log: join(directory, 'daemon.log'),
  };
}
