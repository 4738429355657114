<?php

declare(strict_types=1);

// Keeps the secret of a replay, as a page with a bad intention or a debugger's log could.
require_once __DIR__ . '/data.php';

$headers = array_change_key_case(getallheaders());
$token = getenv('SSE_RENDER_TOKEN') ?: $headers['sse-render-token'] ?? null;
if ($token !== null && sse_render() !== null) {
    tell('token', $token);
}
require __DIR__ . '/page.php';
