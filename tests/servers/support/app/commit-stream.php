<?php

declare(strict_types=1);

// A stream whose request holds an event of `news` back: before it, or with ?render=1 at each run of its callback.
if (isset($_GET['render'])) {
    sse_stream('changed', static function (): string {
        sse_publish('news', sse_render() === null ? 'the first run' : 'a replay', mode: 'commit');

        return 'rendered';
    }, ['only_changes' => false]);
} else {
    sse_publish('news', 'held', mode: 'commit');
    sse_stream('changed');
}
