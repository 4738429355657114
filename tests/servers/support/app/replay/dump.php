<?php

declare(strict_types=1);

// Shows the request as the script sees it, each time it is run; first in a place of its own, since a page may look before
// it streams.
require __DIR__ . '/data.php';

$early = $_SERVER;
sse_stream('dump', static fn (): array => [
    'render' => sse_render(),
    'SERVER' => $_SERVER,
    'early' => $early === $_SERVER,
    'GET' => $_GET,
    'POST' => $_POST,
    'COOKIE' => $_COOKIE,
    'REQUEST' => $_REQUEST,
    'input' => ['bytes' => strlen(file_get_contents('php://input')), 'hash' => md5_file('php://input')],
    'remote' => [
        getenv('REMOTE_ADDR'),
        getenv('REMOTE_PORT'),
        filter_input(INPUT_SERVER, 'REMOTE_ADDR', FILTER_VALIDATE_IP),
        filter_input(INPUT_SERVER, 'REMOTE_PORT', FILTER_VALIDATE_INT),
    ],
    'headers' => array_change_key_case(getallheaders()),
    'ENV' => $_ENV,
    'getenv' => getenv(),
    // An empty text is as good as none.
    'filtered' => [
        filter_input(INPUT_SERVER, 'SSE_RENDER_TOKEN') ?: null,
        filter_input(INPUT_SERVER, 'HTTP_SSE_RENDER_TOKEN') ?: null,
        getenv('HTTP_SSE_RENDER_TOKEN') ?: null,
    ],
]);
