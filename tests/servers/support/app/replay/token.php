<?php

declare(strict_types=1);

// Keeps all that a replay can tell of its request, as an error report or a debugger's log could.
require_once __DIR__ . '/data.php';

if (sse_render() !== null) {
    $names = ['SSE_RENDER_TOKEN', 'HTTP_SSE_RENDER_TOKEN'];
    $all = [getenv(), getallheaders(), apache_request_headers(), $_SERVER, $_ENV, $_REQUEST];
    foreach ($names as $name) {
        $all[] = [getenv($name), $GLOBALS['_SERVER'][$name] ?? null, $GLOBALS['_ENV'][$name] ?? null];
        $all[] = [filter_input(INPUT_SERVER, $name), filter_input(INPUT_ENV, $name)];
        $all[] = function_exists('apache_getenv') ? [apache_getenv($name), apache_getenv($name, true)] : [];
    }
    ob_start();
    phpinfo(INFO_VARIABLES | INFO_ENVIRONMENT);
    phpinfo(INFO_MODULES);
    $all[] = ob_get_clean();
    tell('everything', json_encode($all, JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE));
}
require __DIR__ . '/page.php';
