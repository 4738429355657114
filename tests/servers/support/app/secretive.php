<?php

declare(strict_types=1);

// A stream of a script that has much to hide, and fails when it is told to.
session_start();
$_SESSION['user'] = 'secret-session';
sse_stream('changed', static function (): string {
    error_log('the stream is ' . (sse_render()['stream'] ?? 'new'));
    if (file_exists($_GET['file'])) {
        http_response_code(500);
        exit('secret-output');
    }

    return 'secret-state';
}, ['only_changes' => false, 'headers' => ['X-Own' => 'secret-own-header']]);
