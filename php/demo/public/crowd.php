<?php

declare(strict_types=1);

use Demo\Crowd;
use Demo\Request;

require __DIR__ . '/../src/start.php';

Request::post();
// Besides the origin, a header that no form can set.
if (!Crowd::mayOpen() || ($_SERVER['HTTP_X_DEMO'] ?? '') !== 'crowd') {
    Request::refuse(403, 'A crowd can be opened from this machine only, by the button on the page.');
}
$seconds = Request::text('seconds', 2, (string) Crowd::SECONDS);
if ($seconds === '0') {
    Crowd::close();
    Request::answer(['streams' => 0]);
    exit;
}
if (!ctype_digit($seconds) || (int) $seconds > Crowd::SECONDS) {
    Request::refuse(422, "'seconds' must be a number from 0 (close them now) to " . Crowd::SECONDS . '.');
}
if (!Crowd::open(Request::room(), (int) $seconds)) {
    Request::refuse(409, 'There is a crowd already; close it first.');
}
Request::answer(['streams' => Crowd::STREAMS, 'seconds' => (int) $seconds]);
