<?php

declare(strict_types=1);

// Streams shared by all users of a role; the roles are in a file, `gone` is none. A user may be slow at first.
$folder = dirname(__DIR__, 2) . '/data';
$role = json_decode((string) file_get_contents("$folder/roles"), true)[$_GET['user']];
if ($role === 'gone') {
    http_response_code(403);
    exit;
}
sse_stream('roles', static function () use ($folder, $role): string {
    $state = (string) file_get_contents("$folder/state");
    if (isset($_GET['waits']) && sse_render() === null) {
        touch("$folder/waiting");
        for ($turn = 0; $turn < 1000 && !file_exists("$folder/go-on"); $turn++) {
            usleep(10_000);
            clearstatcache();
        }
    }

    return "$state for $role";
}, ['share' => "role $role"]);
