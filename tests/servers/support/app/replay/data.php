<?php

declare(strict_types=1);

// What pages and tests tell each other, in files of the folder `data` beside the pages.

function told(string $name): string
{
    return (string) @file_get_contents(dirname(__DIR__, 2) . "/data/$name");
}

function tell(string $name, string $line): void
{
    file_put_contents(dirname(__DIR__, 2) . "/data/$name", "$line\n", FILE_APPEND | LOCK_EX);
}

/** Why this request is here: a replay's reason, or `original`. */
function reason(): string
{
    return sse_render()['reason'] ?? 'original';
}
