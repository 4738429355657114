<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use RuntimeException;

/**
 * The PHP under test: its programs, modules and the extension. It is the installed one that runs the tests, or, where the
 * environment variable SSE_PHP names the folder of another (tools/php), that one.
 */
final class Php
{
    private const VERSION = PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION;

    private static ?string $readable = null;

    private static ?string $modules = null;

    public static function cli(): string
    {
        $other = self::other();

        return $other === null ? PHP_BINARY : "$other/bin/php";
    }

    public static function fpm(): string
    {
        $other = self::other();

        return self::find($other !== null ? ["$other/sbin/php-fpm"] : [
            '/usr/sbin/php-fpm' . self::VERSION,
            '/usr/sbin/php-fpm',
            '/usr/local/sbin/php-fpm',
        ]);
    }

    public static function cgi(): string
    {
        $other = self::other();

        return self::find($other !== null ? ["$other/bin/php-cgi"] : [
            '/usr/bin/php-cgi' . self::VERSION,
            '/usr/bin/php-cgi',
            '/usr/local/bin/php-cgi',
        ]);
    }

    public static function apacheModule(): string
    {
        return self::find([
            Apache::MODULES . '/libphp' . self::VERSION . '.so',
            Apache::MODULES . '/libphp.so',
        ]);
    }

    public static function extension(): string
    {
        $built = self::find([getenv('SSE_EXTENSION') ?: dirname(__DIR__, 4) . '/build/sse.so']);

        return self::isForAllUsers($built) ? $built : self::$readable ??= self::copy($built);
    }

    /** Whether it has this module as a file, which is to be loaded. */
    public static function hasModule(string $name): bool
    {
        self::$modules ??= self::other() === null
            ? (string) ini_get('extension_dir')
            : (string) shell_exec(escapeshellarg(self::cli()) . " -n -r 'echo ini_get(\"extension_dir\");'");

        return is_file(self::$modules . "/$name.so");
    }

    private static function other(): ?string
    {
        return getenv('SSE_PHP') ?: null;
    }

    /** The user that the servers' workers run as: www-data when the tests run as root, else who runs them. */
    public static function workerUser(): string
    {
        return posix_geteuid() === 0 ? 'www-data' : (posix_getpwuid(posix_geteuid())['name'] ?? (string) posix_geteuid());
    }

    /** A new hub loads the extension as the workers' user, who may not look into the home of who has cloned the project. */
    private static function isForAllUsers(string $file): bool
    {
        for ($folder = dirname((string) realpath($file)); $folder !== '/'; $folder = dirname($folder)) {
            if ((fileperms($folder) & 0001) === 0) {
                return false;
            }
        }

        return (fileperms($file) & 0004) !== 0;
    }

    private static function copy(string $file): string
    {
        $folder = new TempFolder();
        $owner = getmypid();
        register_shutdown_function(static function () use ($folder, $owner): void {
            if (getmypid() === $owner) {
                $folder->remove();
            }
        });

        return $folder->copy($file, 'sse.so');
    }

    /** @param list<string> $candidates */
    private static function find(array $candidates): string
    {
        foreach ($candidates as $candidate) {
            if (is_file($candidate)) {
                return $candidate;
            }
        }

        throw new RuntimeException('none of these is there: ' . implode(', ', $candidates));
    }
}
