<?php

declare(strict_types=1);

// Shows all that PHP tells of the request, in bytes, each time it is run.
if (isset($_GET['session'])) {
    session_start();
}
sse_stream('dump', static fn (): string => bin2hex(serialize([
    'SERVER' => $_SERVER,
    'GET' => $_GET,
    'POST' => $_POST,
    'COOKIE' => $_COOKIE,
    'REQUEST' => $_REQUEST,
    'argv' => $GLOBALS['argv'] ?? null,
    'input' => file_get_contents('php://input'),
    'headers' => array_change_key_case(getallheaders()),
])), ['only_changes' => false]);
