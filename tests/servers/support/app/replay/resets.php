<?php

declare(strict_types=1);

// Goes on when its client has left while the first callback runs, which waits for the file `reset`.
require_once __DIR__ . '/data.php';

ignore_user_abort(true);
sse_stream('news', static function (): string {
    tell('runs', reason());
    for ($turn = 0; $turn < 2000 && told('reset') === ''; $turn++) {
        usleep(5_000);
    }

    return 'text';
});
tell('ends', 'end');
