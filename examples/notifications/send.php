<?php

require 'database.php';
require 'session.php';

user();
$user = (int) ($_POST['user'] ?? 0);
$text = $_POST['text'] ?? '';
if ($text === '' || strlen($text) > 1000) {
    http_response_code(422);
    exit;
}
database()->prepare('INSERT INTO notification (user, text) VALUES (?, ?)')->execute([$user, $text]);
SseTrigger::push("notifications.$user");    // after the commit
