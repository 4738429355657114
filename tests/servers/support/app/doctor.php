<?php

declare(strict_types=1);

// What goes wrong with a stream, as `case` says.
match ($_GET['case']) {
    'forbidden' => http_response_code(403) && print('not for you'),
    'login' => header('Location: /login.php'),
    'form' => print('<form action="/login.php"><h1>Please log in</h1></form>'),
    'limit' => http_response_code(429) && print('too many streams of one address'),
    'error' => throw new RuntimeException('broken on purpose'),
    'unfollowed' => array_map(header(...), ['Content-Type: text/event-stream', 'X-LiteSpeed-Location: /.sse/x']),
    'clock' => header('Date: ' . gmdate('D, d M Y H:i:s', time() - 600) . ' GMT') ?? sse_stream('news'),
    'callback' => sse_stream('news', fn (): string => 'rendered'),
};
