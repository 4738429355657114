<?php

declare(strict_types=1);

// Streams `topics` (of the file `topics` where it is there) with the `callback` of callbacks.php; `none` is a stream
// without one. The options of sse_stream() are parameters. Before that the page answers as the file named by `gate` says,
// and asks for the login of session.php if `session` is given. Each request leaves a line in `requests`, and each run of
// the callback one in `runs` or in the file that the parameter `runs` names.
require_once __DIR__ . '/data.php';
require __DIR__ . '/gate.php';
require __DIR__ . '/callbacks.php';

tell('requests', reason());
if (isset($_GET['session'])) {
    session_start();
    if (!isset($_SESSION['user'])) {
        http_response_code(403);
        exit('nobody is logged in');
    }
}
pass(told($_GET['gate'] ?? 'gate'));

$options = array_intersect_key($_GET, ['event' => 1, 'share' => 1, 'user' => 1, 'over_limit' => 1]);
foreach (['initial', 'only_changes'] as $name) {
    $options += isset($_GET[$name]) ? [$name => (bool) $_GET[$name]] : [];
}
$options += isset($_GET['poll']) ? ['poll' => (float) $_GET['poll']] : [];
$options += isset($_GET['reauthorize']) ? ['reauthorize' => (int) $_GET['reauthorize']] : [];
$options += array_map('intval', array_intersect_key($_GET, ['max_lifetime' => 1, 'max_per_user' => 1]));
$callback = callback($_GET['callback'] ?? 'events');
$counted = $callback === null ? null : static function (array $events) use ($callback): mixed {
    tell($_GET['runs'] ?? 'runs', reason() . ' ' . getmypid());

    return $callback($events);
};
$answer = sse_stream(explode(',', trim(told('topics')) ?: $_GET['topics']), $counted, $options);
error_log('sse_stream returned ' . var_export($answer, true));
