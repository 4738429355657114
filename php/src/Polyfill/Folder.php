<?php

declare(strict_types=1);

namespace Sse\Polyfill;

use SseException;
use SseUnavailable;

/** The folder of the polyfill's files: this user's own, so that no neighbour on the host reads, writes or locks in it. */
final class Folder
{
    private const KIND = 0170000;
    private const FOLDER = 0040000;
    private const OTHERS = 0077;
    /** Microseconds between two attempts at a lock. */
    private const PAUSE = 2000;

    private readonly string $path;
    /** Milliseconds that a lock may take. */
    private readonly int $timeout;

    public function __construct(Settings $settings)
    {
        $this->timeout = $settings->number('timeout');
        $chosen = $settings->text('polyfill_folder');
        $user = self::user();
        $path = $chosen !== '' ? $chosen : sys_get_temp_dir() . "/php-sse-$user";
        // With a slash at its end a link would be followed.
        $path = rtrim($path, '/') ?: '/';
        $about = self::about($path);
        if ($about === null) {
            // Where that fails, another process may have made it meanwhile.
            @mkdir($path, 0700);
            $about = self::about($path);
        }
        if ($about === null) {
            throw new SseException("sse.polyfill_folder: there is no folder $path, and it can't be made");
        }
        // On Windows the temporary folder is the user's own, and files have no such owner.
        if (DIRECTORY_SEPARATOR === '/') {
            self::check($path, $about, $user);
        }
        $this->path = $path;
    }

    /**
     * What there is by this name, not what a link leads to: all in one answer, since what is asked about could be another
     * one at the next question.
     *
     * @return array{uid: int, mode: int}|null
     */
    private static function about(string $path): ?array
    {
        clearstatcache(true, $path);
        $about = @lstat($path);

        return $about === false ? null : ['uid' => $about['uid'], 'mode' => $about['mode']];
    }

    /** @param array{uid: int, mode: int} $about */
    private static function check(string $path, array $about, int $user): void
    {
        if (($about['mode'] & self::KIND) !== self::FOLDER || $about['uid'] !== $user) {
            throw new SseException(
                "sse.polyfill_folder: $path is a link or belongs to another user; name a folder with the mode 0700 of the "
                . 'user that PHP runs as',
            );
        }
        if (($about['mode'] & self::OTHERS) !== 0) {
            $mode = sprintf('%04o', $about['mode'] & 07777);
            throw new SseException(
                "sse.polyfill_folder: $path has the mode $mode, so that others may read events or hold locks in it; run: "
                . "chmod 700 $path",
            );
        }
    }

    /** Whom this process runs as: not the owner of its script, which is what getmyuid() tells. */
    private static function user(): int
    {
        if (function_exists('posix_geteuid') || DIRECTORY_SEPARATOR !== '/') {
            return function_exists('posix_geteuid') ? posix_geteuid() : 0;
        }
        $own = tmpfile();
        $about = $own === false ? false : fstat($own);

        return $about === false ? throw new SseException('there is no temporary folder to write in') : $about['uid'];
    }

    public function file(string $name): string
    {
        return "$this->path/$name";
    }

    /**
     * Runs it while no other process runs anything by this name, and waits no longer than `sse.timeout` for that.
     *
     * @template T
     *
     * @param callable(): T $run
     *
     * @return T
     *
     * @throws SseUnavailable Another process goes on with it.
     */
    public function locked(string $name, callable $run): mixed
    {
        $path = $this->file("$name.lock");
        $file = $this->open("$name.lock");
        $deadline = microtime(true) + $this->timeout / 1000;
        try {
            $isHeld = 0;
            while (!flock($file, LOCK_EX | LOCK_NB, $isHeld)) {
                if ($isHeld !== 1) {
                    throw new SseException("sse.polyfill_folder: $path can't be locked on this file system");
                }
                if (microtime(true) >= $deadline) {
                    throw new SseUnavailable(
                        "another process has held $path for $this->timeout ms, which is sse.timeout",
                    );
                }
                usleep(self::PAUSE);
            }

            return $run();
        } finally {
            fclose($file);
        }
    }

    /** A database's file, for SQLite, which would make one that others may read. */
    public function database(string $name): string
    {
        $path = $this->file($name);
        // Only one that is new: whoever closes a file loses the locks that SQLite has on it in the same process.
        $file = @fopen($path, 'x');
        if ($file !== false) {
            self::protect($path);
            fclose($file);
        }

        return $path;
    }

    /**
     * @return resource
     *
     * @mago-expect analysis:missing-return-type - PHP has none for resources.
     */
    public function open(string $name)
    {
        $path = $this->file($name);
        $file = @fopen($path, 'c+') ?: throw new SseException("sse.polyfill_folder: $path can't be written");
        self::protect($path);

        return $file;
    }

    /** Makes a file the user's own, whatever umask() says, which all threads of a process share. */
    private static function protect(string $path): void
    {
        if (DIRECTORY_SEPARATOR === '/' && ((int) fileperms($path) & self::OTHERS) !== 0) {
            chmod($path, 0600);
        }
    }
}
