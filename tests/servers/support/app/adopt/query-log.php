<?php

declare(strict_types=1);

// The folder that this site keeps its data in, outside of what the web server shows.
const DATA = __DIR__ . '/../../data';

/** Notes that a page has asked one of the stores: for the graph on the operations screen. */
function query_log(string $page): void
{
    file_put_contents(DATA . '/queries.log', "$page\n", FILE_APPEND);
}
