<?php

declare(strict_types=1);

// What the pages know of each user, in a file of its own: a version, and a mark that no other user's file has.

function record(int $user): array
{
    $version = (int) @file_get_contents(folder() . "/user-$user");

    return ['user' => $user, 'version' => $version, 'mark' => "<mark of $user>"];
}

/** Writes the next version, and tells who watches it. */
function change(int $user): int
{
    $file = fopen(folder() . "/user-$user", 'c+');
    flock($file, LOCK_EX);
    $version = 1 + (int) stream_get_contents($file);
    rewind($file);
    fwrite($file, (string) $version);
    fclose($file);
    SseTrigger::push("users.$user");

    return $version;
}

/** Counts what goes on at the same time, and keeps the highest count. */
function busy(int $step): void
{
    $file = fopen(folder() . '/busy', 'c+');
    flock($file, LOCK_EX);
    [$now, $most] = sscanf(stream_get_contents($file) ?: '0 0', '%d %d');
    $now += $step;
    rewind($file);
    ftruncate($file, 0);
    fwrite($file, sprintf('%d %d', $now, max($now, $most)));
    fclose($file);
}

function folder(): string
{
    return dirname(__DIR__, 2) . '/data';
}
