<?php

require 'database.php';
require 'session.php';

user();
$user = (int) ($_POST['user'] ?? 0);
database()->prepare('INSERT INTO notification (user, text) VALUES (?, ?)')->execute([$user, mb_substr($_POST['text'] ?? '', 0, 200)]);
SseTrigger::push("notifications.$user");    // after the commit
