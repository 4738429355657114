<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use FilesystemIterator;
use RecursiveDirectoryIterator;
use RecursiveIteratorIterator;
use RuntimeException;

/** A folder of one fixture. Its path is short, since a Unix socket's path has room for 107 bytes only. */
final class TempFolder
{
    public readonly string $path;

    public function __construct()
    {
        do {
            $path = sys_get_temp_dir() . '/sse-' . bin2hex(random_bytes(3));
        } while (!@mkdir($path, 0755) && is_dir($path));
        if (!is_dir($path)) {
            throw new RuntimeException("cannot make the folder $path");
        }
        chmod($path, 0755);
        $this->path = $path;
    }

    /** Makes a sub-folder, owned by the given user; without root all are of who runs the tests. */
    public function folder(string $name, int $mode = 0755, ?string $owner = null): string
    {
        $path = "$this->path/$name";
        mkdir($path);
        chmod($path, $mode);
        if ($owner !== null && posix_geteuid() === 0) {
            chown($path, $owner);
            chgrp($path, $owner);
        }

        return $path;
    }

    public function file(string $name, string $content, int $mode = 0644): string
    {
        $path = "$this->path/$name";
        file_put_contents($path, $content);
        chmod($path, $mode);

        return $path;
    }

    public function copy(string $from, string $name): string
    {
        $path = "$this->path/$name";
        if (!is_dir($from)) {
            copy($from, $path);
            chmod($path, 0755);

            return $path;
        }
        $this->folder($name);
        foreach (new FilesystemIterator($from) as $entry) {
            $this->copy($entry->getPathname(), "$name/{$entry->getFilename()}");
        }

        return $path;
    }

    public function remove(): void
    {
        if (!is_dir($this->path)) {
            return;
        }
        $entries = new RecursiveIteratorIterator(
            new RecursiveDirectoryIterator($this->path, FilesystemIterator::SKIP_DOTS),
            RecursiveIteratorIterator::CHILD_FIRST,
        );
        foreach ($entries as $entry) {
            $entry->isDir() && !$entry->isLink() ? @rmdir($entry->getPathname()) : @unlink($entry->getPathname());
        }
        @rmdir($this->path);
    }
}
